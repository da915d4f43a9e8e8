# SPDX-License-Identifier: BSD-2-Clause
#
# Values as people read them, and sums of stacks by name.
package Jeprof::Numbers;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(sum0);

our @EXPORT_OK = qw(unit number percent value_text sum_names total_of);

sub unit {
    my ($opt) = @_;
    return 'objects' if $opt->{value} =~ /objects/;
    return $opt->{show_bytes} ? 'B' : 'MB';
}

sub number {
    my ($opt, $value) = @_;
    return sprintf '%.1f', $value / 1048576 if unit($opt) eq 'MB';
    return sprintf '%.0f', $value;
}

sub percent {
    my ($part, $total) = @_;
    return $total == 0 ? '0.0%' : sprintf '%.1f%%', 100 * $part / $total;
}

sub value_text {
    my ($opt, $value) = @_;
    return number($opt, $value) . ' ' . unit($opt);
}

# Flat and cumulative value of each name. A name that recurs in a stack counts once.
sub sum_names {
    my (@stacks) = @_;
    my (%flat, %cum);

    for my $stack (@stacks) {
        my ($names, $value) = @$stack{qw(names value)};
        $flat{ $names->[0] } += $value;
        my %seen;
        @seen{@$names} = ();
        $cum{$_} += $value for keys %seen;
    }
    return (\%flat, \%cum);
}

sub total_of {
    my (@stacks) = @_;
    return sum0(map { $_->{value} } @stacks);
}

1;
