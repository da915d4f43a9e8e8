# SPDX-License-Identifier: BSD-2-Clause
#
# The options, those of the jeprof that comes with jemalloc and our own; and the arguments.
package Jeprof::Options;
use strict;
use warnings;

use Exporter qw(import);
use Getopt::Long qw(:config no_ignore_case bundling_override);
use Jeprof::Base qw(fail);
use Jeprof::Diff qw(parse_rule);
use Jeprof::Fetch qw(fetch is_url);

our @EXPORT_OK = qw(usage_text parse_options split_arguments split_series split_sides);

my @VALUES = qw(inuse_space inuse_objects alloc_space alloc_objects);
my @GROUPS = qw(functions lines files addresses);
my @OUTPUTS = qw(
    text tree collapsed callgrind proto raw json dot svg ps pdf png gif gv evince web html junit markdown
    interactive
);
my %DIFF_OUTPUT = map { $_ => 1 } qw(text collapsed html json junit markdown);
my %DIFF_ONLY = map { $_ => 1 } qw(junit markdown);
my %LEAKS_OUTPUT = map { $_ => 1 } qw(text json);

# The original's for profiles of other things than the heap, and for its own tests.
my @REFUSED = qw(total_delay contentions mean_delay test test_stride=i symbols);

sub usage_text {
    return <<'TEXT';
usage: jeprof [OPTION]... [PROGRAM] PROFILE...
       jeprof --diff [OPTION]... [PROGRAM] BASE NEW
       jeprof --leaks [OPTION]... [PROGRAM] SERIES...

Shows who holds the memory of heap profiles: jemalloc's and Tally's heap_v2 text, gperftools'
and Go's heap profiles, pprof protobuf, gzipped or not. Several profiles are added up. PROGRAM
is needed only if the program has moved since: profiles name their files themselves. PROFILE is
a file, a folder of them, a quoted pattern, a URL (http://HOST:PORT/pprof/heap), or
HOST:PORT[/PATH].

Output (one):
  --text            table: flat, flat %, sum %, cumulative, cumulative %, name (default)
  --tree            call tree, indented
  --peek=RE         callers and callees of the functions that match
  --list=RE         source of the functions that match, with what each line holds
  --disasm=RE       the same of instructions
  --collapsed       a line a stack, root first, then its value
  --callgrind       for kcachegrind and callgrind_annotate
  --proto           pprof protobuf, gzipped, with names
  --raw             symbols and profile in one text; needs no program any more
  --json            stacks and all their values
  --interactive     a prompt with the commands text, top, list and so on; the default where
                    input and output are a terminal
  --dot             call graph as Graphviz text
  --svg --png --pdf --ps --gif
                    call graph as a picture, made by Graphviz
  --gv --evince --web
                    the picture in gv, evince, or a browser
  --html            flame graph with search and zoom, one file for any browser
  --icicle          the same, root on top
  -o, --output=FILE write to FILE, not to standard output

What is counted (one):
  --inuse_space     bytes allocated and not freed (default)
  --inuse_objects   objects allocated and not freed
  --alloc_space     bytes ever allocated; needs opt.prof_accum, or a pprof profile
  --alloc_objects   objects ever allocated; as above
  --show_bytes      bytes, not MB (2^20 bytes)
  --intervals       table: first the 95 % interval of the cumulative value, as sampling leaves it
  --thread=N        only what thread tN allocated
  --base=PROFILE    subtract this profile; may be given several times
  --drop_negative   show what shrank since --base as 0

Grouping (one):
  --functions (default)   --lines   --files   --addresses

Selection:
  --focus=RE        only stacks with a frame that matches
  --ignore=RE       no stacks with a frame that matches
  --retain=RE --show=RE
                    of each stack only the frames that match
  --exclude=RE      of each stack only the frames that do not match
  --cum             sort the table by cumulative value
  --nodecount=N     graph: at most N nodes (80)
  --nodefraction=F  graph: no nodes below F of the total (0.005)
  --edgefraction=F  graph: no edges below F of the total (0.001)
  --maxdegree=N     graph: at most N edges into and out of a node (8)

Comparing two builds, or two moments of one process:
  --diff            what grew and what shrank, site by site, with intervals and q-values. BASE
                    and NEW are each a file, or several runs: a folder, a quoted pattern, or
                    a,b,c. Output: --text, --collapsed, --html, or
                    --json
  --junit --markdown
                    the same for CI, and for a review
  --base_program=FILE
                    the program of BASE, if it has moved; PROGRAM is NEW's
  --normalize       scale BASE to the total of NEW first
  --fail-on=RULE    exit with 3 if a site meets the rule, such as growth>5%,q<0.05: growth, delta,
                    new, p or q, < or >, a number with % or K, M, G; a comma is "and"

Leaks:
  --leaks           which sites grow without end, and not while warming up, filling a cache or sawing,
                    with the evidence. SERIES is 6 dumps of one process or more: files, a folder,
                    or a quoted pattern. Output: --text or --json

Names:
  --sysroot=DIR     look for programs and libraries below DIR: a container's root, another machine's
  --perf_map=FILE   names of code made at run time; /tmp/perf-PID.map if the profile's name has a PID

Other:
  --seconds=N       of URLs that collect over a time
  --debug-syms-by-id --tools=TOOLS --add_lib=FILE --lib_prefix=DIR --scale=N --heapcheck --debug
                    of jemalloc's jeprof; accepted, and change nothing
  --help, --version

Exit status: 0; 1 if a profile cannot be read or the output cannot be written; 3 by --fail-on.
TEXT
}

sub pick {
    my ($default, @given) = @_;
    my %distinct = map { $_ => 1 } @given;
    fail('choose one of ', join(' ', map { "--$_" } sort keys %distinct)) if keys %distinct > 1;
    return $given[0] // $default;
}

sub check_diff {
    my ($opt) = @_;

    if ($opt->{diff}) {
        fail("--diff has no output --$opt->{mode}; it has --text --collapsed --html --json --junit --markdown")
            if !$DIFF_OUTPUT{ $opt->{mode} };
        fail('--diff takes BASE and NEW as arguments, and no --base') if @{ $opt->{base} };
        $opt->{rule} = parse_rule($opt->{fail_on}) if defined $opt->{fail_on};
        return;
    }
    if ($opt->{leaks}) {
        fail("--leaks has no output --$opt->{mode}; it has --text and --json") if !$LEAKS_OUTPUT{ $opt->{mode} };
        fail('--leaks takes no --base') if @{ $opt->{base} };
        return;
    }
    fail("--$opt->{mode} is for --diff") if $DIFF_ONLY{ $opt->{mode} };
    for my $name (qw(fail_on base_program normalize)) {
        fail('--', $name =~ s/fail_on/fail-on/r, ' is for --diff') if defined $opt->{$name};
    }
}

sub parse_options {
    my %opt = (
        nodecount => 80, nodefraction => 0.005, edgefraction => 0.001, maxdegree => 8, base => [],
    );
    my (@outputs, @values, @groups, @missing);
    my %spec = (
        'help' => \$opt{help}, 'version' => \$opt{version}, 'output|o=s' => \$opt{output},
        'show_bytes!' => \$opt{show_bytes}, 'base=s' => $opt{base},
        'drop_negative!' => \$opt{drop_negative}, 'cum!' => \$opt{cum},
        'diff' => \$opt{diff}, 'leaks' => \$opt{leaks}, 'fail-on=s' => \$opt{fail_on}, 'base_program=s' => \$opt{base_program},
        'normalize' => \$opt{normalize}, 'icicle' => sub { push @outputs, 'html'; $opt{icicle} = 1 },
        # Debug files are always looked for by build id, and no other program is run for it.
        'debug-syms-by-id!' => sub { }, 'tools=s' => sub { }, 'add_lib=s' => sub { },
        'lib_prefix=s' => sub { }, 'scale=i' => sub { }, 'heapcheck!' => sub { }, 'debug!' => sub { },
        'seconds=i' => \$opt{seconds}, 'thread=i' => \$opt{thread}, 'sysroot=s' => \$opt{sysroot},
        'perf_map=s' => \$opt{perf_map}, 'intervals!' => \$opt{intervals}, 'show=s' => \$opt{retain},
    );
    $spec{$_} = sub { push @outputs, "$_[0]" } for @OUTPUTS;
    $spec{$_} = sub { push @values, "$_[0]" } for @VALUES;
    $spec{$_} = sub { push @groups, "$_[0]" } for @GROUPS;
    for my $name (qw(list disasm peek)) {
        $spec{"$name=s"} = sub { push @outputs, $name; $opt{$name} = $_[1] };
    }
    $spec{"$_=s"} = \$opt{$_} for qw(focus ignore retain exclude);
    $spec{"$_=i"} = \$opt{$_} for qw(nodecount maxdegree);
    $spec{"$_=f"} = \$opt{$_} for qw(nodefraction edgefraction);
    $spec{$_} = sub { push @missing, "--$_[0]" } for @REFUSED;
    local $SIG{__WARN__} = sub { print STDERR "jeprof: $_[0]" };
    GetOptions(%spec) or fail('jeprof --help lists the options');
    fail("$missing[0] is not for heap profiles; jeprof --help lists what is") if @missing;
    $opt{mode} = pick(-t STDIN && -t STDOUT && !$opt{diff} && !$opt{leaks} ? 'interactive' : 'text', @outputs);
    $opt{value} = pick('inuse_space', @values);
    $opt{group} = pick('functions', @groups);
    check_diff(\%opt) if !$opt{help} && !$opt{version};
    for my $name (qw(focus ignore retain exclude list disasm peek)) {
        next if !defined $opt{$name};
        my $re = eval { qr/$opt{$name}/ };
        fail("--$name=$opt{$name}: not a regular expression: ", $@ =~ s/ at \S+ line.*//sr) if !$re;
        $opt{$name} = $re;
    }
    return \%opt;
}

# Whether the file is a program or a script rather than a profile. A pipe is a profile: what is
# read from it here would be missing later.
sub is_program {
    my ($path) = @_;

    return 0 if !-f $path;
    open my $file, '<:raw', $path or fail("$path: $!");
    my $start = '';
    read $file, $start, 4;
    close $file;
    return $start eq "\177ELF" || $start =~ /^#!/;
}

sub check_path {
    my ($path) = @_;

    return if -e $path;
    fail("$path: no such file");
}

# PROGRAM, if the first argument is one, and the profiles.
sub split_arguments {
    my ($seconds, @paths) = @_;

    fail('which profile? jeprof --help') if !@paths;
    # Of a folder the profiles in it, of a pattern that the shell left alone what matches.
    @paths = map { is_url($_) ? fetch($_, $seconds) : -d $_ || !-e $_ && /[*?\[]/ ? files_of($_) : $_ } @paths;
    check_path($_) for @paths;
    my $program = @paths > 0 && is_program($paths[0]) ? shift @paths : undef;
    fail("$program is a program; which profile? jeprof --help") if !@paths;
    return ($program, @paths);
}

# The files behind one argument: a file, the profiles of a folder, a pattern, or a list.
sub files_of {
    my ($argument) = @_;

    return $argument if -e $argument && !-d $argument;
    return fetch($argument) if is_url($argument);
    my @paths;
    if (-d $argument) {
        opendir my $folder, $argument or fail("$argument: $!");
        @paths = map { "$argument/$_" } sort grep { /\.(?:heap|pb)(?:\.gz)?\z/ } readdir $folder;
        fail("$argument: no profiles in it (*.heap, *.pb.gz)") if !@paths;
    } else {
        # A pattern of the shell's; blanks belong to the name.
        @paths = map { /[*?\[]/ ? sort glob(s/([\s"'\\])/\\$1/gr) : $_ } split /,/, $argument;
        fail("$argument: no such file, and no pattern that matches one") if !@paths;
    }
    check_path($_) for @paths;
    return @paths;
}

# The runs behind one argument of --diff.
sub runs_of {
    my ($argument) = @_;
    my @paths = files_of($argument);
    my %process;

    for my $path (@paths) {
        next if $path !~ /\A(.*\.\d+)\.\d+\.(?:[imu]\d+|f)\.(?:heap|pb)(?:\.gz)?\z/s;
        fail("$process{$1} and $path are of one process, and so not two runs; give one dump a run")
            if $process{$1};
        $process{$1} = $path;
    }
    return @paths;
}

# (PROGRAM or undef, [base's runs], [new's runs])
sub split_sides {
    my (@arguments) = @_;
    my $program = @arguments > 2 && is_program($arguments[0]) ? shift @arguments : undef;

    fail('--diff takes BASE and NEW; several runs of a build as a folder, a quoted pattern or a,b,c')
        if @arguments != 2;
    return ($program, map { [ runs_of($_) ] } @arguments);
}

# (PROGRAM or undef, dumps in the order in which they were written). Names of automatic dumps have
# it; others are taken in the order of their arguments, and of numbers in their names.
sub split_series {
    my (@arguments) = @_;
    my $program = @arguments > 1 && is_program($arguments[0]) ? shift @arguments : undef;
    my (%process, %number);

    fail('--leaks takes a series of dumps: files, a folder, or a quoted pattern') if !@arguments;
    my @paths = map { files_of($_) } @arguments;
    for my $path (@paths) {
        return ($program, @arguments > 1 ? @paths : by_numbers(@paths))
            if $path !~ /\A(.*\.\d+)\.(\d+)\.(?:[imu]\d+|f)\.(?:heap|pb)(?:\.gz)?\z/s;
        ($process{$1}, $number{$path}) = ($path, $2);
    }
    my ($one, $other) = sort keys %process;
    fail("$process{$one} and $process{$other} are of two processes; a series is of one") if defined $other;
    return ($program, sort { $number{$a} <=> $number{$b} } @paths);
}

# "dump9" before "dump10".
sub by_numbers {
    my (@paths) = @_;
    my %key = map { $_ => s/(\d+)/sprintf '%020d', $1/ger } @paths;
    return sort { $key{$a} cmp $key{$b} } @paths;
}

1;
