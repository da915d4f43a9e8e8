# SPDX-License-Identifier: BSD-2-Clause
#
# Reads profiles through jeprof-helper, whose lines tools/jeprof/stream.h describes.
package Jeprof::Read;
use strict;
use warnings;

use Exporter qw(import);
use File::Temp ();
use FindBin ();
use IPC::Open2 qw(open2);
use List::Util qw(min);
use Jeprof::Base qw(fail);
use Jeprof::Names qw(short_name);

our @EXPORT_OK = qw(filter_rows read_sums helper_path read_profile named_stacks select_stacks value_index visible_ids);

# Which of a stack's four numbers each view shows, in stream.h's order.
my %VALUE_INDEX = (inuse_objects => 0, inuse_space => 1, alloc_objects => 2, alloc_space => 3);

# Everything from the leaf up to the last of these is the allocator's own and is not shown. Tally
# leaves its frames out itself; profiles of other allocators have them.
my %ALLOCATOR_FRAME = map { $_ => 1 } qw(
    malloc calloc realloc free memalign posix_memalign aligned_alloc valloc pvalloc
    mallocx rallocx xallocx dallocx sdallocx
    je_malloc_default imalloc imalloc_body fallback_impl prof_alloc_prep prof_backtrace_impl
    je_prof_backtrace je_prof_tctx_create irallocx_prof do_rallocx ixallocx_prof newImpl
    fallbackNewImpl
), 'operator new', 'operator new[]';

# Its library, if that is all there is to see: distributions strip it, and the nearest symbol that is
# left would be a wrong name.
my $ALLOCATOR_FILE = qr{(?:\A|/)lib(?:jemalloc|tcmalloc|mimalloc|tally)[^/]*\.so[^/]*\z};

sub value_index {
    my ($value) = @_;
    return $VALUE_INDEX{$value};
}

sub helper_path {
    my @places = (
        $ENV{TALLY_JEPROF_HELPER} // (),
        "$FindBin::RealBin/../libexec/tally/jeprof-helper",
        "$FindBin::RealBin/jeprof-helper",
    );
    for my $place (@places) {
        return $place if -x $place;
    }
    fail("its helper is missing: $places[-2]; install Tally again, or set TALLY_JEPROF_HELPER");
}

sub place_of {
    my ($binary, $offset, @fields) = @_;
    my @frames;

    while (my ($function, $file, $line) = splice @fields, 0, 3) {
        push @frames, [ $function, $file, $line ];
    }
    return { binary => $binary, offset => $offset, frames => \@frames };
}

# Where just-in-time compilers name their code for perf, if the profiles' names say whose it is.
sub perf_map_of {
    my (@profiles) = @_;
    my %pids = map { /\.(\d+)\.\d+\.(?:[imu]\d+|f)\.(?:heap|pb)(?:\.gz)?\z/ ? ($1 => 1) : () } @profiles;
    my ($path) = map { "/tmp/perf-$_.map" } keys %pids;
    return keys %pids == 1 && -r $path ? $path : undef;
}

# The helper, and where it is to look for what.
sub helper_command {
    my ($how, @profiles) = @_;
    my @command = (helper_path());

    push @command, "--$_", $how->{$_} for grep { defined $how->{$_} } qw(program sysroot thread);
    my $perf_map = $how->{perf_map} // perf_map_of(@profiles);
    push @command, '--perf-map', $perf_map if defined $perf_map;
    push @command, '--base', $_ for @{ $how->{base} // [] };
    return @command;
}

# The sums of a table by function (tools/jeprof/table.h): flat and cumulative by name, the total, and
# how many stacks there were. Names and choices are made here, the additions there.
sub read_sums {
    my ($opt, @profiles) = @_;
    my @command = helper_command($opt, @profiles);
    my (@names, @answers, %number, %flat, %cum, $total, $stacks);

    push @command, '--table', $VALUE_INDEX{ $opt->{value} }, $opt->{focus} ? '--focused' : ();
    my $pid = open2(my $from, my $to, @command, '--', @profiles);
    my $first = <$from> // '';
    while (my $line = <$from>) {
        chomp $line;
        last if $line eq '?';
        my ($kind, $text, $offset) = split /\t/, $line, -1;
        my $name = $kind eq 'F' ? short_name($text) : ($text =~ s{.*/}{}r || '[unknown]') . "+$offset";
        my $is_allocator = $kind eq 'F' ? $ALLOCATOR_FRAME{ $name =~ s/^_+//r } : $text =~ $ALLOCATOR_FILE;
        my $flags = ($is_allocator ? 1 : 0) | ($opt->{focus} && $name =~ $opt->{focus} ? 2 : 0)
            | ($opt->{ignore} && $name =~ $opt->{ignore} ? 4 : 0)
            | ($opt->{retain} && $name !~ $opt->{retain} || $opt->{exclude} && $name =~ $opt->{exclude} ? 8 : 0);
        $number{$name} //= @names;
        push @answers, "$number{$name} $flags\n";
        push @names, $name;
    }
    print $to @answers;
    close $to;
    while (my $line = <$from>) {
        chomp $line;
        my ($kind, @fields) = split /\t/, $line;
        if ($kind eq 'T') {
            @flat{ $names[ $fields[0] ] } = $fields[1];
            $cum{ $names[ $fields[0] ] } = $fields[2];
        } else {
            ($total, $stacks) = @fields;
        }
    }
    waitpid $pid, 0;
    # The helper has said what is wrong.
    exit 1 if $? != 0;
    fail("$command[0] is of another version") if $first ne "tally-names 1\n" || !defined $total;
    return { flat => \%flat, cum => \%cum, total => $total, stacks => $stacks };
}

# What the helper says of the profiles: the places by number, innermost frame first, and for each
# run, or for all together, its stacks: ids from the leaf, the values, variances, weights.
sub read_profile {
    my ($how, @profiles) = @_;
    my @command = helper_command($how, @profiles);
    my (%places, @runs);

    push @command, '--each' if $how->{each};
    push @command, '--spread' if $how->{spread};
    push @runs, { path => $profiles[0], stacks => [] } if !$how->{each};
    open my $lines, '-|', @command, '--', @profiles or fail("$command[0]: $!");
    my $first = <$lines> // '';
    while (my $line = <$lines>) {
        chomp $line;
        my ($kind, @fields) = split /\t/, $line, -1;
        if ($kind eq 'S') {
            my $ids = pop @fields;
            push @{ $runs[-1]{stacks} },
                { ids => [ split / /, $ids ], values => [ splice @fields, 0, 4 ],
                  variances => [ splice @fields, 0, 4 ], weights => [ splice @fields, 0, 4 ] };
        } elsif ($kind eq 'L') {
            my $id = shift @fields;
            $places{$id} = place_of(@fields);
        } else {
            push @runs, { path => $fields[0], stacks => [] };
        }
    }
    # The helper has said what is wrong.
    close $lines or exit 1;
    fail("$command[0] is of another version") if $first ne "tally-stacks 2\n";
    return { places => \%places, runs => \@runs };
}

# Rows of numbers through one of the helper's filters (rows.h): the fields of each row's answer.
sub filter_rows {
    my ($arguments, @rows) = @_;
    my $file = File::Temp->new(TEMPLATE => 'jeprof-XXXXXX', TMPDIR => 1);
    my $command = helper_path();
    my @answers;

    return () if !@rows;
    for my $row (@rows) {
        print $file "@$row\n";
    }
    close $file or fail("$file: $!");
    open my $stdin, '<&', \*STDIN or fail("standard input: $!");
    open STDIN, '<', "$file" or fail("$file: $!");
    my $is_started = open my $lines, '-|', $command, @$arguments;
    open STDIN, '<&', $stdin or fail("standard input: $!");
    fail("$command: $!") if !$is_started;
    while (my $line = <$lines>) {
        chomp $line;
        push @answers, [ split /\t/, $line ];
    }
    close $lines or exit 1;
    fail("$command is of another version") if @answers != @rows;
    return @answers;
}

# The names of one place, innermost first, by the chosen grouping.
sub place_names {
    my ($group, $place) = @_;
    my ($binary, $offset, $frames) = @$place{qw(binary offset frames)};
    my $bare = ($binary =~ s{.*/}{}r || '[unknown]') . "+$offset";
    my @names;

    return $group eq 'files' ? ($binary || '[unknown]') : $bare if !@$frames;
    for my $frame (@$frames) {
        my ($function, $file, $line) = @$frame;
        my $short = short_name($function);
        my $where = $file ne '' ? "$file:$line" : '';
        push @names,
              $group eq 'functions' ? $short
            : $group eq 'lines'     ? ($where ne '' ? "$short $where" : $short)
            : $group eq 'files'     ? ($file ne '' ? $file : $binary)
            :                         join ' ', grep { $_ ne '' } $bare, $short, $where;
    }
    return @names;
}

sub is_allocator {
    my ($place) = @_;
    return $place->{is_allocator} //= $place->{binary} =~ $ALLOCATOR_FILE
        || (grep { $ALLOCATOR_FRAME{ short_name($_->[0]) =~ s/^_+//r } } @{ $place->{frames} }) ? 1 : 0;
}

# The ids of a stack without the allocator's own places.
sub visible_ids {
    my ($places, $ids) = @_;

    for my $at (reverse 0 .. min(15, $#$ids)) {
        return [ @$ids[ $at + 1 .. $#$ids ] ] if is_allocator($places->{ $ids->[$at] });
    }
    return $ids;
}

# { names => [leaf first], value => number, ids => [leaf first] } for each stack of a run.
sub named_stacks {
    my ($opt, $profile, $run) = @_;
    my ($places, $index) = ($profile->{places}, $VALUE_INDEX{ $opt->{value} });
    my (%names, @stacks);

    for my $stack (@{ $run->{stacks} }) {
        my $ids = visible_ids($places, $stack->{ids});
        my @names =
            map { @{ $names{$_} //= [ place_names($opt->{group}, $places->{$_}) ] } } @$ids;
        push @stacks, {
            names => @names ? \@names : ['[unknown]'], ids => $ids, raw => $stack,
            value => $stack->{values}[$index],
        };
    }
    return @stacks;
}

sub is_selected {
    my ($opt, $names) = @_;
    return 0 if $opt->{focus} && !grep { $_ =~ $opt->{focus} } @$names;
    return 0 if $opt->{ignore} && grep { $_ =~ $opt->{ignore} } @$names;
    return 1;
}

# The stacks that the options let through, with the frames and the values that they leave.
sub select_stacks {
    my ($opt, @stacks) = @_;
    my @selected;

    for my $stack (@stacks) {
        next if !is_selected($opt, $stack->{names});
        my $names = $stack->{names};
        $names = [ grep { $_ =~ $opt->{retain} } @$names ] if $opt->{retain};
        $names = [ grep { $_ !~ $opt->{exclude} } @$names ] if $opt->{exclude};
        next if !@$names;
        $stack->{names} = $names;
        $stack->{value} = 0 if $opt->{drop_negative} && $stack->{value} < 0;
        push @selected, $stack if $stack->{value} != 0;
    }
    return @selected;
}

1;
