# SPDX-License-Identifier: BSD-2-Clause
#
# What each line of the source, or each instruction, holds, for functions whose names match.
package Jeprof::Source;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max min);
use Jeprof::Base qw(fail note);
use Jeprof::Names qw(short_name);
use Jeprof::Numbers qw(number percent total_of unit);

our @EXPORT_OK = qw(write_list write_disasm);

my $CONTEXT_LINES = 5;

# Flat and cumulative values by function, file and line.
sub sums_by_line {
    my ($opt, $re, @stacks) = @_;
    my $places = $opt->{profile}{places};
    my %sums;

    for my $stack (@stacks) {
        my $is_leaf = 1;
        my %seen;
        for my $id (@{ $stack->{ids} }) {
            for my $frame (@{ $places->{$id}{frames} }) {
                my ($name, $file, $line) = (short_name($frame->[0]), @$frame[ 1, 2 ]);
                if ($name =~ $re && $file ne '') {
                    my $sum = $sums{"$name\0$file"}{$line} //= [ 0, 0 ];
                    $sum->[0] += $stack->{value} if $is_leaf;
                    $sum->[1] += $stack->{value} if !$seen{"$name\0$file\0$line"}++;
                }
                $is_leaf = 0;
            }
            $is_leaf = 0;
        }
    }
    return %sums;
}

# The lines of a source file; none, with a line for the user, if it is not here.
sub source_lines {
    my ($path) = @_;
    open my $file, '<', $path or do {
        note("$path: $!; its lines are shown without their text");
        return;
    };
    my @lines = <$file>;
    chomp @lines;
    return @lines;
}

sub blank_zero {
    my ($opt, $value) = @_;
    return $value == 0 ? '.' : number($opt, $value);
}

sub write_list {
    my ($opt, $out, @stacks) = @_;
    my %sums = sums_by_line($opt, $opt->{list}, @stacks);

    printf $out "Total: %s %s\n", number($opt, total_of(@stacks)), unit($opt);
    note('no function with a known source file matches') if !%sums;
    for my $key (sort keys %sums) {
        my ($name, $path) = split /\0/, $key;
        my $lines = $sums{$key};
        my @text = source_lines($path);
        my ($flat, $cum) = (0, 0);
        for my $sum (values %$lines) {
            $flat += $sum->[0];
            $cum += $sum->[1];
        }
        my ($first, $last) = (max(1, min(keys %$lines) - $CONTEXT_LINES), max(keys %$lines) + $CONTEXT_LINES);
        $last = min($last, scalar @text) if @text >= max(keys %$lines);
        printf $out "ROUTINE ====================== %s in %s\n%8s %8s %s (flat, cumulative)\n", $name, $path,
            number($opt, $flat), number($opt, $cum), unit($opt);
        for my $line ($first .. $last) {
            my ($own, $all) = @{ $lines->{$line} // [ 0, 0 ] };
            next if !@text && !$lines->{$line};
            printf $out "%8s %8s %5d: %s\n", blank_zero($opt, $own), blank_zero($opt, $all), $line, $text[ $line - 1 ] // '';
        }
        print $out "---\n";
    }
}

# ---- instructions ----

# Where offsets of a file's code are in memory, by its program headers: [offset, bytes, address].
sub code_segments {
    my ($path) = @_;
    my @segments;

    open my $file, '<:raw', $path or return;
    read $file, my $head, 64;
    return if length $head < 64 || substr($head, 0, 6) ne "\177ELF\2\1";
    my ($table_at, $entry_bytes, $count) = unpack 'x32 Q< x14 S< S<', $head;
    for my $at (0 .. $count - 1) {
        seek $file, $table_at + $at * $entry_bytes, 0;
        read $file, my $entry, 56;
        my ($type, $flags, $offset, $address, undef, $bytes) = unpack 'L< L< Q< Q< Q< Q<', $entry;
        push @segments, [ $offset, $bytes, $address ] if $type == 1 && $flags & 1;
    }
    return @segments;
}

sub address_of {
    my ($offset, @segments) = @_;
    for my $segment (@segments) {
        my ($start, $bytes, $address) = @$segment;
        return $offset - $start + $address if $offset >= $start && $offset < $start + $bytes;
    }
    return;
}

# Flat and cumulative values by binary and address, of places where a function matches.
sub sums_by_address {
    my ($opt, @stacks) = @_;
    my $places = $opt->{profile}{places};
    my (%sums, %segments);

    for my $stack (@stacks) {
        my %seen;
        for my $at (0 .. $#{ $stack->{ids} }) {
            my $place = $places->{ $stack->{ids}[$at] };
            my ($binary, $frames) = @$place{qw(binary frames)};
            next if !grep { short_name($_->[0]) =~ $opt->{disasm} } @$frames;
            $binary = $opt->{program} if defined $opt->{program} && !-e $binary;
            my $address = address_of(hex $place->{offset}, @{ $segments{$binary} //= [ code_segments($binary) ] });
            next if !defined $address;
            my $sum = $sums{$binary}{$address} //= [ 0, 0 ];
            $sum->[0] += $stack->{value} if $at == 0;
            $sum->[1] += $stack->{value} if !$seen{"$binary\0$address"}++;
        }
    }
    return %sums;
}

# [start, end, name] of the functions that hold one of the addresses.
sub functions_at {
    my ($binary, @addresses) = @_;
    my @functions;

    open my $lines, '-|', 'nm', '-SC', '--defined-only', $binary or fail("nm: $!; Debian: apt-get install binutils");
    while (my $line = <$lines>) {
        my ($start, $bytes, $name) = $line =~ /\A([0-9a-f]+) ([0-9a-f]+) [TtWw] (.*)/ or next;
        ($start, $bytes) = (hex $start, hex $bytes);
        push @functions, [ $start, $start + $bytes, $name ] if grep { $_ >= $start && $_ < $start + $bytes } @addresses;
    }
    close $lines;
    my %seen;
    return grep { !$seen{ $_->[0] }++ } sort { $a->[0] <=> $b->[0] } @functions;
}

sub write_disasm {
    my ($opt, $out, @stacks) = @_;
    my %sums = sums_by_address($opt, @stacks);

    printf $out "Total: %s %s\n", number($opt, total_of(@stacks)), unit($opt);
    note('no function that matches has its code in a file that is here') if !%sums;
    for my $binary (sort keys %sums) {
        my $values = $sums{$binary};
        for my $function (functions_at($binary, keys %$values)) {
            my ($start, $end, $name) = @$function;
            print $out "ROUTINE ====================== $name in $binary\n";
            open my $lines, '-|', 'objdump', '-d', '--no-show-raw-insn', '-C', "--start-address=$start",
                "--stop-address=$end", $binary or fail("objdump: $!; Debian: apt-get install binutils");
            # A return address less one lies inside the instruction that starts before it.
            my @pending = sort { $a <=> $b } grep { $_ >= $start && $_ < $end } keys %$values;
            my ($last, $last_at);
            my $put = sub {
                my ($limit) = @_;
                my ($own, $all) = (0, 0);
                while (@pending && $pending[0] < $limit) {
                    my $sum = $values->{ shift @pending };
                    $own += $sum->[0];
                    $all += $sum->[1];
                }
                printf $out "%8s %8s %s\n", blank_zero($opt, $own), blank_zero($opt, $all), $last if defined $last;
            };
            while (my $line = <$lines>) {
                my ($address, $text) = $line =~ /\A\s*([0-9a-f]+):\s*(.*)/ or next;
                $put->(hex $address);
                $last = sprintf '%12s: %s', $address, $text =~ s/\t/ /gr;
            }
            $put->($end);
            close $lines;
        }
    }
}

1;
