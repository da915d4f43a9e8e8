# SPDX-License-Identifier: BSD-2-Clause
#
# The flame graph, or icicle, as one HTML file: flame.html with the stacks put in as a tree.
package Jeprof::Flame;
use strict;
use warnings;

use Exporter qw(import);
use Jeprof::Base qw(fail json);
use Jeprof::Numbers qw(unit);

our @EXPORT_OK = qw(write_flame write_diff_flame);

# No screen shows a box of less than this share, and a page of a million boxes opens slowly.
my $SHARE_MIN = 1 / 20_000;
my $ROOT = 'all';
my $SMALLER = '(smaller)';

sub template {
    my ($path) = __FILE__ =~ m{\A(.*)/}s;
    open my $file, '<:raw', "$path/flame.html" or fail("$path/flame.html: $!; install Tally again");
    local $/ = undef;
    return <$file>;
}

# Adds values to each node of a path, the root's names first.
sub add_path {
    my ($root, $values, @names) = @_;
    my $node = $root;

    $root->{values}[$_] += $values->[$_] for 0 .. $#$values;
    for my $name (@names) {
        $node = $node->{children}{$name} //= { values => [ (0) x @$values ], children => {} };
        $node->{values}[$_] += $values->[$_] for 0 .. $#$values;
    }
}

# The tree in preorder as numbers: depth, name, values. Children in the order of names, so that two
# pictures of one program are alike; what is too small is summed up.
sub flatten {
    my ($root, $least) = @_;
    my (%name_id, @names, @nodes);
    my @queue = ([ $ROOT, $root, 0 ]);
    my $put = sub {
        my ($name, $depth, $values) = @_;
        $name_id{$name} //= do { push @names, $name; $#names };
        push @nodes, $depth, $name_id{$name}, map { sprintf '%.0f', $_ } @$values;
    };

    while (my $item = shift @queue) {
        my ($name, $node, $depth) = @$item;
        my (@shown, @sum);
        $put->($name, $depth, $node->{values});
        for my $child (sort keys %{ $node->{children} }) {
            my $values = $node->{children}{$child}{values};
            if ($values->[-1] >= $least) {
                push @shown, [ $child, $node->{children}{$child}, $depth + 1 ];
            } else {
                $sum[$_] += $values->[$_] for 0 .. $#$values;
            }
        }
        push @shown, [ $SMALLER, { values => \@sum, children => {} }, $depth + 1 ]
            if @sum && $sum[-1] >= $least;
        unshift @queue, @shown;
    }
    return (\@names, \@nodes);
}

sub write_page {
    my ($opt, $out, $kind, $root) = @_;
    my ($names, $nodes) = flatten($root, $root->{values}[-1] * $SHARE_MIN);
    my $data = json({
        kind => $kind, title => $opt->{title}, value => $opt->{value}, icicle => \\($opt->{icicle} // 0),
        unit => unit($opt) eq 'objects' ? 'objects' : 'bytes', names => $names,
    });

    # A name may not end the script that holds it.
    $data =~ s/</\\u003c/g;
    $data =~ s/\}\z/',"nodes":[' . join(',', @$nodes) . ']}'/e;
    my ($before, $after) = split /\@DATA\@/, template(), 2;
    print $out $before, $data, $after;
}

# Negative values (after --base) have no width: they are left out, and the sum says less.
sub write_flame {
    my ($opt, $out, @stacks) = @_;
    my $root = { values => [0], children => {} };

    for my $stack (@stacks) {
        add_path($root, [ $stack->{value} ], reverse @{ $stack->{names} }) if $stack->{value} > 0;
    }
    write_page($opt, $out, 'plain', $root);
}

sub write_diff_flame {
    my ($opt, $out, $result) = @_;
    my $root = { values => [ 0, 0, 0 ], children => {} };

    for my $row (@{ $result->{rows} }) {
        my ($base, $new) = @$row{qw(base new)};
        add_path($root, [ $base, $new, $base > $new ? $base : $new ], map { $_->[5] } @{ $row->{frames} });
    }
    write_page($opt, $out, 'diff', $root);
}

1;
