# SPDX-License-Identifier: BSD-2-Clause
#
# The prompt: the profile is read once, and shown as often as asked.
package Jeprof::Prompt;
use strict;
use warnings;

use Exporter qw(import);
use File::Temp ();
use Jeprof::Base qw(note);

our @EXPORT_OK = qw(run_prompt);

my $HELP = <<'TEXT';
Commands, as of jemalloc's jeprof:
  text, top[N] [--cum] [RE]... [-RE]... [>FILE]   table; of N rows with topN
  tree [RE]...  peek RE  list RE  disasm RE       call tree, callers and callees, source, instructions
  weblist RE                                      source in a browser
  gv, evince, web, flame [RE]... [-RE]...         call graph, or flame graph, in a viewer
  callgrind [FILE]                                for kcachegrind; FILE or a temporary one
  collapsed, json                                 as the options
  --functions --lines --files --addresses --cum   from here on
  help, quit
RE keeps stacks with a frame that matches, -RE drops them; they hold for one command.
TEXT

my %PLAIN = map { $_ => 1 } qw(text tree collapsed json dot);
my %NEEDS_RE = map { $_ => 1 } qw(list disasm peek weblist);
my %VIEWER = (gv => [qw(ps gv)], evince => [qw(pdf evince)], web => [qw(svg xdg-open)], flame => [qw(html xdg-open)]);
my %GROUP = map { ("--$_" => $_) } qw(functions lines files addresses);

# What one line asks for, on top of the options of the command line: undef, having said why, if it
# cannot be.
sub parse_command {
    my ($opt, $line) = @_;
    my %ask = (%$opt, output => undef);
    my (@focus, @ignore);

    my $path = $line =~ s/\s*>\s*(\S+)\s*\z// ? $1 : undef;
    my ($command, @words) = split ' ', $line;
    $command = 'text' if $command =~ s/\Atop(\d*)\z/top/ && do { $ask{rows} = $1 || 10; 1 };
    $ask{mode} = $command;
    $ask{output} = $path;
    for my $word (@words) {
        if ($GROUP{$word}) { $ask{group} = $GROUP{$word} }
        elsif ($word eq '--cum') { $ask{cum} = 1 }
        elsif ($command eq 'callgrind') { $ask{output} = $word }
        elsif ($word =~ /\A-(.+)/) { push @ignore, $1 }
        else { push @focus, $word }
    }
    if ($NEEDS_RE{$command}) {
        my $re = shift @focus;
        return note("$command what? a regular expression follows it") && undef if !defined $re;
        $ask{ $command eq 'weblist' ? 'list' : $command } = $re;
    }
    $ask{focus} = join '|', @focus if @focus;
    $ask{ignore} = join '|', @ignore if @ignore;
    for my $name (qw(focus ignore list disasm peek)) {
        next if !defined $ask{$name} || ref $ask{$name};
        my $re = eval { qr/$ask{$name}/ };
        return note("$ask{$name}: not a regular expression") && undef if !$re;
        $ask{$name} = $re;
    }
    return \%ask;
}

sub view {
    my ($ask, $show) = @_;
    my ($mode, $viewer) = @{ $VIEWER{ $ask->{mode} } };
    my (undef, $path) = File::Temp::tempfile('jeprof-XXXXXX', SUFFIX => ".$mode", TMPDIR => 1, UNLINK => 1);

    $show->({ %$ask, mode => $mode, output => $path });
    return note("$viewer is not installed; the picture is in $path until quit")
        if !grep { -x "$_/$viewer" } split /:/, $ENV{PATH} // '';
    system($viewer, $path) == 0 or note("$viewer ended with an error");
}

# `$show` writes what a set of options asks for; it may end the process.
sub run_prompt {
    my ($opt, $show) = @_;

    print "Welcome to jeprof! For help, type 'help'.\n";
    while (1) {
        print '(jeprof) ';
        my $line = <STDIN>;
        last if !defined $line || $line =~ /\A\s*(?:quit|exit|q)\s*\z/;
        $line =~ s/\A\s+|\s+\z//g;
        next if $line eq '';
        if ($line eq 'help') { print $HELP; next }
        if ($line =~ /\A--\S+\z/ && ($GROUP{$line} || $line eq '--cum')) {
            $line eq '--cum' ? ($opt->{cum} = 1) : ($opt->{group} = $GROUP{$line});
            next;
        }
        my $ask = parse_command($opt, $line) or next;
        my $command = $ask->{mode};
        if ($VIEWER{$command}) { view($ask, $show) }
        elsif ($command eq 'weblist') { $show->({ %$ask, mode => 'list' }) }
        elsif ($command eq 'callgrind' && !defined $ask->{output}) {
            (undef, $ask->{output}) = File::Temp::tempfile('jeprof-XXXXXX', SUFFIX => '.callgrind', TMPDIR => 1);
            $show->($ask);
            print "callgrind: $ask->{output}\n";
        }
        elsif ($PLAIN{$command} || $NEEDS_RE{$command} || $command eq 'callgrind') { $show->($ask) }
        else { note("$command: no such command; help lists them") }
    }
    print "\n";
}

1;
