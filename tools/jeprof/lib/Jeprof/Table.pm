# SPDX-License-Identifier: BSD-2-Clause
#
# The table, and stacks as lines.
package Jeprof::Table;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max);
use Jeprof::Numbers qw(number percent sum_names total_of unit);
use Jeprof::Read qw(filter_rows value_index);

our @EXPORT_OK = qw(write_text write_collapsed);

# "low .. high" of each name's cumulative value: what sampling lets it be, at 95 %.
sub intervals_of {
    my ($opt, @stacks) = @_;
    my $index = value_index($opt->{value});
    my %sums;

    for my $stack (@stacks) {
        my %seen;
        for my $name (grep { !$seen{$_}++ } @{ $stack->{names} }) {
            my $sum = $sums{$name} //= [ 0, 0, 0 ];
            $sum->[0] += $stack->{value};
            $sum->[1] += $stack->{raw}{variances}[$index];
            $sum->[2] = max($sum->[2], $stack->{raw}{weights}[$index]);
        }
    }
    my @names = sort keys %sums;
    my @answers = filter_rows(['--intervals'], map { $sums{$_} } @names);
    return { map { $names[$_] => join ' .. ', map { number($opt, $_) } @{ $answers[$_] } } 0 .. $#names };
}

sub write_text {
    my ($opt, $out, @stacks) = @_;
    my ($flat, $cum) = $opt->{sums} ? @{ $opt->{sums} }{qw(flat cum)} : sum_names(@stacks);
    my $total = $opt->{sums} ? $opt->{sums}{total} : total_of(@stacks);
    my $running = 0;
    my ($key, $other) = $opt->{cum} ? ($cum, $flat) : ($flat, $cum);

    my $interval = $opt->{intervals} ? intervals_of($opt, @stacks) : {};

    printf $out "Total: %s %s\n", number($opt, $total), unit($opt);
    my $rows = 0;
    for my $name (
        sort {
                   abs($key->{$b} // 0) <=> abs($key->{$a} // 0)
                || abs($other->{$b} // 0) <=> abs($other->{$a} // 0)
                || $a cmp $b
        } keys %$cum
    ) {
        last if $opt->{rows} && $rows++ >= $opt->{rows};
        my $own = $flat->{$name} // 0;
        $running += $own;
        printf $out "%20s ", $interval->{$name} if $opt->{intervals};
        printf $out "%8s %6s %6s %8s %6s %s\n", number($opt, $own), percent($own, $total),
            percent($running, $total), number($opt, $cum->{$name}),
            percent($cum->{$name}, $total), $name;
    }
}

sub write_collapsed {
    my ($opt, $out, @stacks) = @_;
    my %value;

    for my $stack (@stacks) {
        $value{ join ';', map { tr/;/:/r } reverse @{ $stack->{names} } } += $stack->{value};
    }
    printf $out "%s %.0f\n", $_, $value{$_} for sort keys %value;
}

1;
