# SPDX-License-Identifier: BSD-2-Clause
#
# Which site of one build is which of the other: docs/DIFF.md, section 2.
#
# A site is { frames => [[name, file, line, ordinals, is inlined, shown name, is bare]... from the
# root]; a bare frame has no function: its name is the binary's, its line the offset there,
# size => mean bytes an object, weight => how much it holds }, and what the caller keeps there. What
# is matched is taken out of the race, from the strictest rule to the loosest. A pair is
# { base => [sites], new => [sites], how => rule }: more than one site a side are to be added up.
package Jeprof::Match;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(all any max min sum0);

our @EXPORT_OK = qw(match_sites fold_recursion);

# Where two builds have this many sites of the same names, lines are compared no more.
my $VARIANT_PAIRS_MAX = 40_000;
my $RENAME_ROUNDS = 4;

# A function that comes back takes with it what lay between: recursion of any depth is one path.
sub fold_recursion {
    my (@frames) = @_;
    my (%at, @folded);
    my $key_of = sub { my ($frame) = @_; join "\0", @$frame[ 0, 1 ], $frame->[6] ? $frame->[2] : '' };

    for my $frame (@frames) {
        my $key = $key_of->($frame);
        if (defined(my $depth = $at{$key})) {
            delete $at{ $key_of->($_) } for splice @folded, $depth + 1;
            $folded[$depth] = $frame;
        } else {
            $at{$key} = @folded;
            push @folded, $frame;
        }
    }
    return @folded;
}

sub unqualified {
    my ($name) = @_;
    return $name =~ /[<({]/ ? $name : $name =~ s/.*:://r;
}

# The rules that are a key: sites with the same one are the same.
my $BY_NAMES = sub { join "\n", map { $_->[0] } @_ };
my @STRICT_RULES = (
    [ same => sub { join "\n", map { "$_->[0]\0$_->[1]" } @_ } ],
    [ moved => $BY_NAMES ],
    [ moved => sub { join "\n", map { unqualified($_->[0]) } @_ } ],
);
my @INLINED_RULE = (inlined => sub { join "\n", map { $_->[0] } grep { !$_->[4] } @_ });

# Whether a pair's sides are nearer to each other, by half of what the site holds, if it is added.
sub is_closer_with {
    my ($site, $side, $pair) = @_;
    my ($here, $there) = map { my $s = $_; sum0(map { $_->{weight} } @{ $pair->{$s} }) } $side,
        $side eq 'base' ? 'new' : 'base';
    return abs($here + $site->{weight} - $there) < abs($here - $there) - $site->{weight} / 2;
}

# ---- sites of the same names ----

# What tells places of one name apart: the line, else the numbers of lambdas. GCC and Clang count
# these differently.
sub marks_of {
    my ($frame) = @_;
    return $frame->[2] || !@{ $frame->[3] } ? $frame->[2] : $frame->[3][-1];
}

# How far two variants are apart: the differences of their marks, as one word.
sub shift_of {
    my ($base, $new) = @_;
    my @differences;

    return '' if @{ $base->{vector} } != @{ $new->{vector} };
    for my $at (0 .. $#{ $base->{vector} }) {
        push @differences, $new->{vector}[$at] - $base->{vector}[$at];
    }
    return "@differences";
}

sub is_like {
    my ($base, $new, $ratio) = @_;
    my ($small, $large) = sort { $a <=> $b } $base->{size}, $new->{size};
    return $large <= $small * $ratio;
}

sub by_vector {
    my ($one, $other) = @_;
    for my $at (0 .. min($#{ $one->{vector} }, $#{ $other->{vector} })) {
        my $order = $one->{vector}[$at] <=> $other->{vector}[$at];
        return $order if $order;
    }
    return @{ $one->{vector} } <=> @{ $other->{vector} };
}

# The pairs with the commonest shift: text that was moved as a whole.
sub commonest_shift {
    my ($bases, $news) = @_;
    my (%pairs, %score);

    for my $base (@$bases) {
        for my $new (@$news) {
            my $shift = shift_of($base, $new);
            push @{ $pairs{$shift} }, [ $base, $new ];
            $score{$shift} += is_like($base, $new, 1.05) ? 1 : 0.4;
        }
    }
    # Among equals the smaller move.
    my $far = sub { sum0(map { abs } split / /, $_[0]) };
    my ($best) = sort { $score{$b} <=> $score{$a} || $far->($a) <=> $far->($b) || $a cmp $b }
        grep { $_ ne '' } keys %pairs;
    return defined $best ? @{ $pairs{$best} } : ();
}

# What no shift explains: in order where that is plausible.
sub pair_rest {
    my ($bases, $news, $how, $has_anchor, $pairs) = @_;

    if (@$bases == @$news && (!$has_anchor || all { is_like($bases->[$_], $news->[$_], 1.25) } 0 .. $#$bases)) {
        push @$pairs, map { { base => [ $bases->[$_] ], new => [ $news->[$_] ], how => $how } } 0 .. $#$bases;
        return;
    }
    push @$pairs, { base => $bases, new => $news, how => $how } if !$has_anchor;
}

# A line or two beside a matched site of the same names is that site: compilers differ in which line
# a call is on. If the pair's two sides then agree better.
sub absorb_neighbours {
    my ($sites, $side, $pairs) = @_;

    SITE: for my $site (@$sites) {
        for my $pair (@$pairs) {
            my $apart = shift_of($pair->{$side}[0], $site);
            next if $apart eq '' || sum0(map { abs } split / /, $apart) > 2;
            next if !is_closer_with($site, $side, $pair);
            push @{ $pair->{$side} }, $site;
            next SITE;
        }
    }
}

# Sites of one key on both sides. Their lines and ordinals tell them apart.
sub pair_variants {
    my ($bases, $news, $how) = @_;
    my @bases = sort { by_vector($a, $b) } @$bases;
    my @news = sort { by_vector($a, $b) } @$news;
    my @pairs;

    if (@bases == 1 && @news == 1 || @bases * @news > $VARIANT_PAIRS_MAX) {
        return { base => \@bases, new => \@news, how => $how };
    }
    while (@bases && @news) {
        my @shifted = commonest_shift(\@bases, \@news);
        last if @shifted == 0 || @shifted == 1 && !is_like(@{ $shifted[0] }, 1.05) && @bases + @news > 2;
        my (%is_base, %is_new);
        for my $pair (@shifted) {
            next if $is_base{ $pair->[0] } || $is_new{ $pair->[1] };
            $is_base{ $pair->[0] } = $is_new{ $pair->[1] } = 1;
            push @pairs, { base => [ $pair->[0] ], new => [ $pair->[1] ], how => $how };
        }
        @bases = grep { !$is_base{$_} } @bases;
        @news = grep { !$is_new{$_} } @news;
    }
    my $has_anchor = @pairs > 0;
    pair_rest(\@bases, \@news, $how, $has_anchor, \@pairs) if @bases && @news;
    absorb_neighbours(\@bases, 'base', \@pairs) if !@news;
    absorb_neighbours(\@news, 'new', \@pairs) if !@bases;
    return @pairs;
}

sub take_matched {
    my ($sites, $pairs, $side) = @_;
    my %is_taken = map { $_ => 1 } map { @{ $_->{$side} } } @$pairs;
    return grep { !$is_taken{$_} } @$sites;
}

sub pair_by_key {
    my ($bases, $news, $how, $key_of) = @_;
    my (%base, %new, @pairs);

    push @{ $base{ $key_of->(@{ $_->{frames} }) } }, $_ for @$bases;
    push @{ $new{ $key_of->(@{ $_->{frames} }) } }, $_ for @$news;
    for my $key (sort keys %base) {
        push @pairs, pair_variants($base{$key}, $new{$key}, $how) if $new{$key} && $key ne '';
    }
    return @pairs;
}

# ---- frames that one build does not have ----

sub is_subsequence {
    my ($short, $long) = @_;
    my $at = 0;
    for my $name (@$long) {
        $at++ if $at < @$short && $short->[$at] eq $name;
    }
    return $at == @$short;
}

sub names_of {
    my ($site) = @_;
    return $site->{names} //= [ map { $_->[0] } @{ $site->{frames} } ];
}

# Whether one path is the other with up to three frames left out, as tail calls do, but not the root.
sub is_folded {
    my ($one, $other) = @_;
    my ($short, $long) = sort { @$a <=> @$b } names_of($one), names_of($other);
    return $short->[0] eq $long->[0] && @$long - @$short <= 3 && is_subsequence($short, $long);
}

# The last two names: one of them is the last of a path that was folded by one frame at its end.
sub tails_of {
    my ($site) = @_;
    my $names = names_of($site);
    return @$names > 1 ? @$names[ -1, -2 ] : $names->[-1];
}

# The longer path's lines and ordinals, of the frames alone that the shorter one has.
sub restrict_vector {
    my ($site, $names) = @_;
    my ($at, @vector) = (0);

    for my $frame (@{ $site->{frames} }) {
        next if $at == @$names || $frame->[0] ne $names->[$at];
        push @vector, marks_of($frame);
        $at++;
    }
    $site->{vector} = \@vector;
}

sub group_by_names {
    my (@sites) = @_;
    my %groups;
    push @{ $groups{ join "\n", @{ names_of($_) } } }, $_ for @sites;
    return map { $groups{$_} } sort keys %groups;
}

sub pair_folded {
    my ($bases, $news) = @_;
    my (%new, %is_taken, @pairs);

    for my $group (group_by_names(@$news)) {
        push @{ $new{$_} }, $group for tails_of($group->[0]);
    }
    for my $group (group_by_names(@$bases)) {
        my %seen;
        my @candidates = grep { !$is_taken{$_} && !$seen{$_}++ && is_folded($group->[0], $_->[0]) }
            map { @{ $new{$_} // [] } } tails_of($group->[0]);
        next if !@candidates;
        my $length = @{ $group->[0]{frames} };
        my $weight = sum0(map { $_->{weight} } @$group);
        my $apart = sub { abs($weight - sum0(map { $_->{weight} } @{ $_[0] })) };
        my ($best) = sort {
            abs(@{ $a->[0]{frames} } - $length) <=> abs(@{ $b->[0]{frames} } - $length)
                || $apart->($a) <=> $apart->($b)
        } @candidates;
        $is_taken{$best} = 1;
        my ($short) = sort { @$a <=> @$b } names_of($group->[0]), names_of($best->[0]);
        restrict_vector($_, $short) for @$group, @$best;
        push @pairs, pair_variants($group, $best, 'folded');
    }
    return @pairs;
}

# A path that only one build has, where the other has put what it holds into a path it has beside:
# added to that pair if the pair's two sides then agree better.
sub absorb_folded {
    my ($sites, $side, $pairs) = @_;
    my $other = $side eq 'base' ? 'new' : 'base';
    my (%by_tail, @rest);

    for my $pair (@$pairs) {
        push @{ $by_tail{$_} }, $pair for map { tails_of($_) } @{ $pair->{$other} }[0];
    }
    for my $site (@$sites) {
        my $absorbed = 0;
        for my $pair (map { @{ $by_tail{$_} // [] } } tails_of($site)) {
            next if !is_folded($site, $pair->{$other}[0]);
            next if !is_closer_with($site, $side, $pair);
            push @{ $pair->{$side} }, $site;
            $pair->{how} = 'folded';
            $absorbed = 1;
            last;
        }
        push @rest, $site if !$absorbed;
    }
    return @rest;
}

# ---- functions that were renamed ----

sub all_names {
    my (@sites) = @_;
    my %names;
    $names{ $_->[0] } = 1 for map { @{ $_->{frames} } } @sites;
    return \%names;
}

# The path with one name left out, for each name.
sub holes_of {
    my ($site) = @_;
    my @names = map { $_->[0] } @{ $site->{frames} };
    return map {
        my $at = $_;
        [ join("\n", @names[ 0 .. $at - 1 ], '*', @names[ $at + 1 .. $#names ]), $names[$at] ]
    } 0 .. $#names;
}

# How much of the longer name is common at both ends: 0 to 1.
sub likeness {
    my ($one, $other) = @_;
    my $shorter = min(length $one, length $other);
    my ($start, $end) = (0, 0);

    $start++ while $start < $shorter && substr($one, $start, 1) eq substr($other, $start, 1);
    $end++ while $end < $shorter - $start && substr($one, -1 - $end, 1) eq substr($other, -1 - $end, 1);
    return ($start + $end) / max(length $one, length $other);
}

# Old name => new name where unmatched paths differ in that one alone, neither name is known to the
# other build, and the objects are of one size. Of several, the likest names, then most bytes.
sub find_renames {
    my ($bases, $news, $base_names, $new_names) = @_;
    my (%new, %votes, @candidates, %renamed, %is_used);

    for my $site (@$news) {
        push @{ $new{ $_->[0] } }, [ $_->[1], $site ] for grep { !$base_names->{ $_->[1] } } holes_of($site);
    }
    for my $site (@$bases) {
        for my $hole (grep { !$new_names->{ $_->[1] } } holes_of($site)) {
            for my $candidate (@{ $new{ $hole->[0] } // [] }) {
                next if !is_like($site, $candidate->[1], 1.1);
                $votes{ $hole->[1] }{ $candidate->[0] } += min($site->{weight}, $candidate->[1]{weight});
            }
        }
    }
    for my $old (keys %votes) {
        push @candidates, map { [ $old, $_, likeness($old, $_), $votes{$old}{$_} ] } keys %{ $votes{$old} };
    }
    for my $candidate (sort { $b->[2] <=> $a->[2] || $b->[3] <=> $a->[3] || "@$a" cmp "@$b" } @candidates) {
        my ($old, $new) = @$candidate;
        next if exists $renamed{$old} || $is_used{$new};
        $renamed{$old} = $new;
        $is_used{$new} = 1;
    }
    return %renamed;
}

sub pair_renamed {
    my ($bases, $news, $all_bases, $all_news) = @_;
    my ($base_names, $new_names) = (all_names(@$all_bases), all_names(@$all_news));
    my (%renamed, @pairs);

    for my $round (1 .. $RENAME_ROUNDS) {
        my %found = find_renames($bases, $news, $base_names, $new_names) or last;
        %renamed = (%renamed, %found);
        for my $site (@$bases) {
            $site->{frames} = [ map { [ $found{ $_->[0] } // $_->[0], @$_[ 1 .. 6 ] ] } @{ $site->{frames} } ];
        }
        my @found = pair_by_key($bases, $news, 'renamed', $BY_NAMES);
        push @pairs, @found;
        @$bases = take_matched($bases, \@found, 'base');
        @$news = take_matched($news, \@found, 'new');
    }
    return (\%renamed, @pairs);
}

# ---- all of it ----

# (pairs, the renames found as { old => new }). Sites without a partner are pairs of one side.
sub match_sites {
    my ($all_bases, $all_news) = @_;
    my @bases = @$all_bases;
    my @news = @$all_news;
    my (@pairs, $renames);

    for my $site (@bases, @news) {
        $site->{vector} = [ map { marks_of($_) } @{ $site->{frames} } ];
    }
    my $take = sub {
        push @pairs, @_;
        @bases = take_matched(\@bases, \@_, 'base');
        @news = take_matched(\@news, \@_, 'new');
    };
    for my $rule (@STRICT_RULES) {
        $take->(pair_by_key(\@bases, \@news, @$rule));
    }
    ($renames, my @renamed) = pair_renamed(\@bases, \@news, $all_bases, $all_news);
    $take->(@renamed);
    $take->(pair_by_key(\@bases, \@news, @INLINED_RULE));
    $take->(pair_folded(\@bases, \@news));
    @bases = absorb_folded(\@bases, 'base', \@pairs);
    @news = absorb_folded(\@news, 'new', \@pairs);
    push @pairs, map { { base => [$_], new => [], how => 'removed' } } @bases;
    push @pairs, map { { base => [], new => [$_], how => 'added' } } @news;
    return (\@pairs, $renames);
}

1;
