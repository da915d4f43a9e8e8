# SPDX-License-Identifier: BSD-2-Clause
#
# The call graph as Graphviz text, and as a picture made by Graphviz.
package Jeprof::Graph;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(min);
use Jeprof::Base qw(fail cut);
use Jeprof::Numbers qw(number percent sum_names total_of unit value_text);

our @EXPORT_OK = qw(write_dot write_picture);

# Graphviz refuses texts of 16 KiB, and nobody reads them.
my ($LABEL_BYTES, $TOOLTIP_BYTES) = (400, 1000);

# The names that stay in the graph: the largest, and none below the fraction.
sub graph_names {
    my ($opt, $cum, $total) = @_;
    my $least = abs($total) * $opt->{nodefraction};
    my @names = grep { abs($cum->{$_}) >= $least } keys %$cum;

    @names = sort { abs($cum->{$b}) <=> abs($cum->{$a}) || $a cmp $b } @names;
    splice @names, $opt->{nodecount} if @names > $opt->{nodecount};
    return @names;
}

# Edges between names that stay, and which of them leave names out. Each counts once a stack.
sub graph_edges {
    my ($opt, $is_kept, $total, @stacks) = @_;
    my (%value, %is_indirect);

    for my $stack (@stacks) {
        my ($caller, $is_gap, %seen) = (undef, 0);
        for my $name (reverse @{ $stack->{names} }) {
            if (!$is_kept->{$name}) {
                $is_gap = 1;
                next;
            }
            if (defined $caller && !$seen{"$caller\0$name"}++) {
                $value{"$caller\0$name"} += $stack->{value};
                $is_indirect{"$caller\0$name"} ||= $is_gap;
            }
            ($caller, $is_gap) = ($name, 0);
        }
    }
    my (%in, %out);
    my $least = abs($total) * $opt->{edgefraction};
    my @edges;
    for my $key (sort { abs($value{$b}) <=> abs($value{$a}) || $a cmp $b } keys %value) {
        my ($caller, $callee) = split /\0/, $key;
        next if abs($value{$key}) < $least || $value{$key} == 0;
        next if $out{$caller}++ >= $opt->{maxdegree} || $in{$callee}++ >= $opt->{maxdegree};
        push @edges, [ $caller, $callee, $value{$key}, $is_indirect{$key} ];
    }
    return @edges;
}

sub quote {
    my ($text) = @_;
    return '"' . ($text =~ s/(["\\])/\\$1/gr) . '"';
}

# Long names break where C++ has seams, so that no node is a yard wide.
sub wrapped {
    my ($name) = @_;
    my @lines = ('');

    for my $piece ($name =~ /(?:::|[^:<,]|:(?!:))+?(?:::|[<,] ?|$)/g) {
        push @lines, '' if length($lines[-1]) + length($piece) > 44 && $lines[-1] ne '';
        $lines[-1] .= $piece;
    }
    my $text = join "\n", grep { $_ ne '' } @lines;
    return $text ne '' ? $text : $name;
}

# From pale to red with the share of the total; green for what shrank since --base.
sub node_color {
    my ($share) = @_;
    my $depth = sqrt(min(1, abs $share));
    return sprintf '%.3f %.3f 0.97', $share < 0 ? 0.33 : 0.03, 0.04 + 0.6 * $depth;
}

sub node_line {
    my ($opt, $id, $name, $flat, $cum, $total) = @_;
    my $text = wrapped(cut($name, $LABEL_BYTES)) . "\n";

    $text .= value_text($opt, $flat) . ' (' . percent($flat, $total) . ')';
    $text .= "\nof " . value_text($opt, $cum) . ' (' . percent($cum, $total) . ')' if $flat != $cum;
    return sprintf "N%d [label=%s,tooltip=%s,fontsize=%.1f,fillcolor=\"%s\"];\n", $id,
        quote($text) =~ s/\n/\\n/gr, quote(cut($name, $TOOLTIP_BYTES) . ': ' . value_text($opt, $cum)),
        8 + 24 * sqrt($total == 0 ? 0 : min(1, abs($flat / $total))),
        node_color($total == 0 ? 0 : $cum / $total);
}

sub edge_line {
    my ($opt, $id, $edge, $total) = @_;
    my ($caller, $callee, $value, $is_indirect) = @$edge;
    my $share = $total == 0 ? 0 : min(1, abs($value / $total));

    return sprintf "N%d -> N%d [label=%s,tooltip=%s,weight=%d,penwidth=%.2f%s];\n",
        $id->{$caller}, $id->{$callee}, quote(' ' . value_text($opt, $value)),
        quote(cut($caller, $TOOLTIP_BYTES) . ' -> ' . cut($callee, $TOOLTIP_BYTES)), 1 + 100 * $share, 0.5 + 5 * $share,
        $is_indirect ? ',style=dashed' : '';
}

sub write_dot {
    my ($opt, $out, @stacks) = @_;
    my ($flat, $cum) = sum_names(@stacks);
    my $total = total_of(@stacks);
    my @names = graph_names($opt, $cum, $total);
    my %id = map { $names[$_] => $_ + 1 } 0 .. $#names;
    my @edges = graph_edges($opt, \%id, $total, @stacks);
    my $legend = "$opt->{title}\n$opt->{value}: " . value_text($opt, $total) . " in all\n"
        . scalar(@names) . ' of ' . scalar(keys %$cum) . " $opt->{group} shown\n"
        . "Each: its own, of what goes through it. Dashed: names between are left out.\n";

    print $out 'digraph ', quote($opt->{title}), " {\n",
        "graph [tooltip=\" \"];\n",
        "node [shape=box,style=\"filled,rounded\",fontname=\"Helvetica\",color=\"#888888\"];\n",
        "edge [fontname=\"Helvetica\",fontsize=9,color=\"#666666\"];\n",
        'Legend [shape=note,style=filled,fillcolor="#f4f4f4",fontsize=12,label=',
        quote($legend) =~ s/\n/\\l/gr, "];\n";
    print $out node_line($opt, $id{$_}, $_, $flat->{$_} // 0, $cum->{$_}, $total) for @names;
    print $out edge_line($opt, \%id, $_, $total) for @edges;
    print $out "}\n";
}

# A picture of the graph, made and written by Graphviz's dot.
sub write_picture {
    my ($opt, @stacks) = @_;

    fail("--$opt->{mode} needs Graphviz's dot; Debian: apt-get install graphviz")
        if !grep { -x "$_/dot" } split /:/, $ENV{PATH} // '';
    my @target = defined $opt->{output} ? ('-o', $opt->{output}) : ();
    open my $dot, '|-', 'dot', "-T$opt->{mode}", @target or fail("dot: $!");
    write_dot($opt, $dot, @stacks);
    # SIGPIPE is ignored: a dot that ends early has said why, and is noticed here.
    close $dot or fail('dot ended with an error; --dot shows what it was given');
}

1;
