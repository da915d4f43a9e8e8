# SPDX-License-Identifier: BSD-2-Clause
#
# Who calls whom, as text: the tree from the root, and the callers and callees of some functions.
package Jeprof::Tree;
use strict;
use warnings;

use Exporter qw(import);
use Jeprof::Base qw(json);
use Jeprof::Numbers qw(number percent sum_names total_of unit);

our @EXPORT_OK = qw(write_tree write_peek write_json);

sub by_size {
    my ($values) = @_;
    return sort { abs($values->{$b}) <=> abs($values->{$a}) || $a cmp $b } keys %$values;
}

# One line a call path, the largest first, each below its caller; what holds less than
# --nodefraction of all is left out and said.
sub write_tree {
    my ($opt, $out, @stacks) = @_;
    my $total = total_of(@stacks);
    my $least = abs($total) * $opt->{nodefraction};
    my $root = { value => 0, children => {} };

    for my $stack (@stacks) {
        my $node = $root;
        for my $name (reverse @{ $stack->{names} }) {
            $node = $node->{children}{$name} //= { value => 0, children => {} };
            $node->{value} += $stack->{value};
        }
    }
    printf $out "Total: %s %s\n", number($opt, $total), unit($opt);
    my @queue = ([ $root, -1 ]);
    my $omitted = 0;
    while (my $item = shift @queue) {
        my ($node, $depth, $name) = @$item;
        printf $out "%8s %6s %s%s\n", number($opt, $node->{value}), percent($node->{value}, $total),
            '  ' x $depth, $name
            if defined $name;
        my $children = $node->{children};
        my %value = map { $_ => $children->{$_}{value} } keys %$children;
        my @shown = grep { abs($value{$_}) >= $least } by_size(\%value);
        $omitted += keys(%value) - @shown;
        unshift @queue, map { [ $children->{$_}, $depth + 1, $_ ] } @shown;
    }
    printf $out "%d branches of less than %s are left out; --nodefraction=0 shows them\n", $omitted,
        percent($least, $total)
        if $omitted;
}

# For each function that matches: who calls it, what goes through it, whom it calls.
sub write_peek {
    my ($opt, $out, @stacks) = @_;
    my ($flat, $cum) = sum_names(@stacks);
    my $total = total_of(@stacks);
    my (%callers, %callees);

    for my $stack (@stacks) {
        my @names = @{ $stack->{names} };
        my %seen;
        for my $at (1 .. $#names) {
            my ($callee, $caller) = @names[ $at - 1, $at ];
            next if $seen{"$caller\0$callee"}++;
            $callers{$callee}{$caller} += $stack->{value};
            $callees{$caller}{$callee} += $stack->{value};
        }
    }
    printf $out "Total: %s %s\n", number($opt, $total), unit($opt);
    for my $name (grep { $_ =~ $opt->{peek} } by_size($cum)) {
        my $line = sub {
            my ($value, $indent, $text) = @_;
            printf $out "%8s %6s %s%s\n", number($opt, $value), percent($value, $total), $indent, $text;
        };
        print $out '-' x 60, "\n";
        $line->($callers{$name}{$_}, '    ', $_) for by_size($callers{$name} // {});
        printf $out "%8s %6s %s  (its own: %s)\n", number($opt, $cum->{$name}), percent($cum->{$name}, $total),
            $name, number($opt, $flat->{$name} // 0);
        $line->($callees{$name}{$_}, '        ', $_) for by_size($callees{$name} // {});
    }
}

# The stacks and all four values of each.
sub write_json {
    my ($opt, $out, @stacks) = @_;
    my %sums;

    for my $stack (@stacks) {
        my $sum = $sums{ join "\n", reverse @{ $stack->{names} } } //=
            { path => [ reverse @{ $stack->{names} } ], values => [ 0, 0, 0, 0 ] };
        $sum->{values}[$_] += $stack->{raw}{values}[$_] for 0 .. 3;
    }
    my @kinds = qw(inuse_objects inuse_space alloc_objects alloc_space);
    print $out json({
        kind => 'heap', title => $opt->{title}, value => $opt->{value}, total => \total_of(@stacks),
        stacks => [ map { my $sum = $sums{$_};
            { path => $sum->{path}, map { ($kinds[$_] => \($sum->{values}[$_] + 0)) } 0 .. 3 } } sort keys %sums ],
    }), "\n";
}

1;
