# SPDX-License-Identifier: BSD-2-Clause
#
# The table, and stacks as lines.
package Jeprof::Table;
use strict;
use warnings;

use Exporter qw(import);
use Jeprof::Numbers qw(number percent sum_names total_of unit);

our @EXPORT_OK = qw(write_text write_collapsed);

sub write_text {
    my ($opt, $out, @stacks) = @_;
    my ($flat, $cum) = sum_names(@stacks);
    my $total = total_of(@stacks);
    my $running = 0;
    my ($key, $other) = $opt->{cum} ? ($cum, $flat) : ($flat, $cum);

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
