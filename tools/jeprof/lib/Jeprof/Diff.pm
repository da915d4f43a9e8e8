# SPDX-License-Identifier: BSD-2-Clause
#
# Two builds, or two moments of one process, site by site: docs/DIFF.md.
package Jeprof::Diff;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max sum0);
use Jeprof::Base qw(fail);
use Jeprof::Match qw(fold_recursion match_sites);
use Jeprof::Names qw(normal_name short_name);
use Jeprof::Read qw(filter_rows read_profile value_index visible_ids);

our @EXPORT_OK = qw(compare parse_rule failing_rows sites_of);

# ---- sites ----

# The frames of a stack, from the root: [normal name, file, line, ordinals, is inlined, shown name,
# is bare].
sub frames_of {
    my ($places, $ids) = @_;
    my @frames;

    for my $id (reverse @$ids) {
        my $place = $places->{$id};
        push @frames, @{ $place->{match} //= do {
            my @inner = @{ $place->{frames} };
            my $outermost = $#inner;
            my $binary = $place->{binary} =~ s{.*/}{}r || '[unknown]';
            my @match = map {
                my ($function, $file, $line) = @{ $inner[$_] };
                my ($name, $ordinals) = @{ normal_name($function) };
                [ $name, $file =~ s{.*/}{}r, $line, $ordinals, $_ != $outermost, short_name($function), 0 ]
            } reverse 0 .. $outermost;
            # Without a name the offset is no more than a line: it tells places of one build apart.
            @match = ([ $binary, '', hex $place->{offset}, [], 0, "$binary+$place->{offset}", 1 ]) if !@match;
            \@match;
        } };
    }
    return fold_recursion(@frames);
}

sub is_selected {
    my ($opt, @frames) = @_;
    return 0 if $opt->{focus} && !grep { $_->[5] =~ $opt->{focus} } @frames;
    return 0 if $opt->{ignore} && grep { $_->[5] =~ $opt->{ignore} } @frames;
    return 1;
}

# One build's sites: what each run says of each of them.
sub sites_of {
    my ($opt, $profile) = @_;
    my $index = value_index($opt->{value});
    my $objects_index = $index - $index % 2;
    my @runs = @{ $profile->{runs} };
    my %sites;

    for my $at (0 .. $#runs) {
        for my $stack (@{ $runs[$at]{stacks} }) {
            my $ids = visible_ids($profile->{places}, $stack->{ids});
            my @frames = frames_of($profile->{places}, $ids);
            @frames = ([ '[unknown]', '', 0, [], 0, '[unknown]', 1 ]) if !@frames;
            next if !is_selected($opt, @frames);
            my $key = join "\n", map { "$_->[0]\0$_->[1]\0$_->[2]\0@{ $_->[3] }\0$_->[4]" } @frames;
            my $site = $sites{$key} //= { key => $key, frames => \@frames, runs => [ map { [ 0, 0, 0 ] } @runs ] };
            my $run = $site->{runs}[$at];
            $run->[0] += $stack->{values}[$index];
            $run->[1] += $stack->{variances}[$index];
            $run->[2] = max($run->[2], $stack->{weights}[$index]);
            $site->{objects} += $stack->{values}[$objects_index];
            $site->{bytes} += $stack->{values}[ $objects_index + 1 ];
        }
    }
    for my $site (values %sites) {
        $site->{weight} = sum0(map { $_->[0] } @{ $site->{runs} }) / @runs;
        $site->{size} = $site->{objects} > 0 ? $site->{bytes} / $site->{objects} : 1;
        $site->{size} ||= 1;
    }
    return [ map { $sites{$_} } grep { $sites{$_}{weight} != 0 } sort keys %sites ];
}

# ---- two dumps of one process ----

# PREFIX.PID of an automatic dump's name.
sub process_of {
    my ($path) = @_;
    return $path =~ /\A(.*\.\d+)\.\d+\.(?:[imu]\d+|f)\.(?:heap|pb)(?:\.gz)?\z/s ? $1 : undef;
}

sub is_same_process {
    my ($bases, $news) = @_;
    return 0 if @$bases != 1 || @$news != 1;
    my ($base, $new) = map { process_of($_) } $bases->[0], $news->[0];
    return defined $base && defined $new && $base eq $new;
}

# Survivors are in both dumps and cancel: what is compared is what died against what was born since,
# as far as the totals ever allocated tell.
sub births_and_deaths {
    my ($base, $new) = @_;
    my $births = max(0, $new->{alloc}[0] - $base->{alloc}[0]);
    my $deaths = max(0, $births - ($new->{live}[0] - $base->{live}[0]));
    my $unit = $new->{alloc}[0] > 0 ? $new->{alloc}[1] / $new->{alloc}[0] : 0;
    my $weight = max($new->{alloc}[2], $base->{alloc}[2]);
    return ([ $deaths, $deaths * $unit, $weight ], [ $births, $births * $unit, $weight ]);
}

# ---- rows ----

sub add_runs {
    my ($count, @sites) = @_;
    my @sums = map { [ 0, 0, 0 ] } 1 .. $count;

    for my $site (@sites) {
        for my $at (0 .. $count - 1) {
            my ($sum, $run) = ($sums[$at], $site->{runs}[$at]);
            $sum->[0] += $run->[0];
            $sum->[1] += $run->[1];
            $sum->[2] = max($sum->[2], $run->[2]);
        }
    }
    return @sums;
}

# All sites' runs through the helper: [base, new, low, high, p, q, overdispersion] of each.
sub compare_runs {
    my ($base_count, $new_count, @rows) = @_;
    return filter_rows([ '--compare', "$base_count,$new_count" ], map { [ map { @$_ } @$_ ] } @rows);
}

sub row_of {
    my ($pair, $answer) = @_;
    my ($base, $new, $low, $high, $p, $q, $overdispersion) = @$answer;
    # Where renaming touched the base's frames the new build's stand for both.
    my $site = $pair->{new}[0] // $pair->{base}[0];

    return {
        frames => $site->{frames}, how => $pair->{how}, base => $base + 0, new => $new + 0,
        delta => $new - $base, low => $low + 0, high => $high + 0, p => $p + 0, q => $q + 0,
        growth => $base > 0 ? 100 * ($new - $base) / $base : $new > $base ? 9**9**9 : 0,
        overdispersion => $overdispersion =~ /nan/i ? undef : $overdispersion + 0,
    };
}

sub median {
    my (@values) = sort { $a <=> $b } @_;
    return @values ? $values[ $#values / 2 ] : undef;
}

# Scales what is counted of the base to the new total, where loads were not the same.
sub normalize {
    my ($bases, $news) = @_;
    my ($base, $new) = map { sum0(map { $_->{weight} } @$_) } $bases, $news;
    return 1 if $base <= 0 || $new <= 0;
    my $factor = $new / $base;

    for my $site (@$bases) {
        for my $run (@{ $site->{runs} }) {
            $run->[0] *= $factor;
            $run->[1] *= $factor**2;
            $run->[2] *= $factor;
        }
        $site->{weight} *= $factor;
    }
    return $factor;
}

sub read_build {
    my ($opt, $program, $paths) = @_;
    return read_profile({ %$opt, program => $program, base => [], each => 1, spread => 1 }, @$paths);
}

# In one process the live values are shown, but births and deaths are tested.
sub same_process_answers {
    my ($opt, $profiles, $pairs) = @_;
    my $alloc = $opt->{value} =~ s/inuse/alloc/r;
    my %totals;

    for my $side (qw(base new)) {
        my $sites = sites_of({ %$opt, value => $alloc }, $profiles->{$side});
        return () if !@$sites;
        $totals{$side} = { map { join("\n", map { "@$_[0 .. 2] @{ $_->[3] }" } @{ $_->{frames} }) => $_->{runs}[0] } @$sites };
    }
    my @rows = map {
        my $pair = $_;
        my %part;
        for my $side (qw(base new)) {
            my @sites = @{ $pair->{$side} };
            # A site without live samples may have a past all the same.
            my @keys = map { join "\n", map { "@$_[0 .. 2] @{ $_->[3] }" } @{ $_->{frames} } }
                @sites ? @sites : map { @{ $pair->{$_} } } qw(base new);
            $part{$side} = {
                live => (add_runs(1, @sites))[0],
                alloc => (add_runs(1, map { { runs => [ $totals{$side}{$_} // [ 0, 0, 0 ] ] } } @keys))[0],
            };
        }
        [ births_and_deaths($part{base}, $part{new}) ];
    } @$pairs;
    my @answers = compare_runs(1, 1, @rows);
    for my $at (0 .. $#$pairs) {
        my $pair = $pairs->[$at];
        @{ $answers[$at] }[ 0, 1 ] = map { (add_runs(1, @{ $pair->{$_} }))[0][0] } qw(base new);
    }
    return @answers;
}

# What there is to say about the comparison as a whole, in sentences.
sub remarks_of {
    my ($result) = @_;
    my @remarks;

    if ($result->{same_process}) {
        push @remarks, 'Both dumps are of one process: what died is compared with what was born between them.';
    } elsif ($result->{base_runs} == 1 || $result->{new_runs} == 1) {
        my $which = $result->{base_runs} == 1 && $result->{new_runs} == 1 ? 'Each build was' : 'One of the builds was';
        push @remarks, "$which run once: intervals and q-values cover the sampling, not how much one "
            . 'run differs from the next. Give several runs of each (a folder, or a,b,c) to cover both.';
    }
    my $overdispersion = median(grep { defined } map { $_->{overdispersion} } @{ $result->{rows} });
    push @remarks, sprintf 'From run to run the sites vary %.1f times as much as sampling explains (median).',
        $overdispersion if defined $overdispersion;
    push @remarks, sprintf 'The base is scaled by %.3f to the same total.', $result->{factor}
        if $result->{factor} != 1;
    push @remarks, map { "Renamed: $_ is now $result->{renames}{$_}." } sort keys %{ $result->{renames} };
    return @remarks;
}

# { rows => [largest change first], total => row, remarks => [sentences], … }
sub compare {
    my ($opt, $base_program, $program, $bases, $news) = @_;
    my %profiles = (
        base => read_build($opt, $base_program, $bases),
        new => read_build($opt, $program, $news),
    );
    my ($base_sites, $new_sites) = map { sites_of($opt, $profiles{$_}) } qw(base new);
    my %result = (base_runs => scalar @$bases, new_runs => scalar @$news, factor => 1);

    $result{factor} = normalize($base_sites, $new_sites) if $opt->{normalize};
    my @whole = compare_runs(scalar @$bases, scalar @$news,
        [ add_runs(scalar @$bases, @$base_sites), add_runs(scalar @$news, @$new_sites) ]);
    my ($pairs, $renames) = match_sites($base_sites, $new_sites);
    my @answers;
    if (is_same_process($bases, $news) && $opt->{value} =~ /inuse/ && !$opt->{normalize}) {
        @answers = same_process_answers($opt, \%profiles, $pairs);
        $result{same_process} = @answers > 0;
    }
    @answers = compare_runs(scalar @$bases, scalar @$news,
        map { [ add_runs(scalar @$bases, @{ $_->{base} }), add_runs(scalar @$news, @{ $_->{new} }) ] } @$pairs)
        if !@answers;
    my @rows = map { row_of($pairs->[$_], $answers[$_]) } 0 .. $#$pairs;
    @rows = sort {
        ($b->{q} < 0.05) <=> ($a->{q} < 0.05) || abs($b->{delta}) <=> abs($a->{delta})
            || $a->{frames}[-1][5] cmp $b->{frames}[-1][5]
    } @rows;
    $result{rows} = \@rows;
    $result{renames} = $renames;
    $result{total} = row_of({ base => $base_sites, new => $new_sites, how => 'total' }, $whole[0]);
    $result{remarks} = [ remarks_of(\%result) ];
    return \%result;
}

# ---- the rule that fails a build ----

my %MULTIPLE = (k => 2**10, m => 2**20, g => 2**30, '' => 1);

# "growth>5%,delta>1M,q<0.05": all of it must hold for a row to fail.
sub parse_rule {
    my ($text) = @_;
    my @terms;

    for my $term (split /,/, $text, -1) {
        my ($what, $order, $number, $unit) =
            $term =~ /\A\s*(growth|delta|new|p|q)\s*([<>])\s*(-?[\d.]+(?:e-?\d+)?)\s*(%|[kKmMgG]?)(?:i?B)?\s*\z/;
        fail("--fail-on=$text: $term is none of growth, delta, new, p, q with < or > and a number; "
            . "for example growth>5%,q<0.05") if !defined $what || $number !~ /\A-?\d*\.?\d+(?:e-?\d+)?\z/;
        my $factor = $unit eq '%' ? 1 : $MULTIPLE{ lc $unit };
        push @terms, [ $what, $order, $number * $factor ];
    }
    fail('--fail-on: is empty; for example growth>5%,q<0.05') if !@terms;
    return \@terms;
}

sub is_failing {
    my ($terms, $row) = @_;
    for my $term (@$terms) {
        my ($what, $order, $limit) = @$term;
        return 0 if !($order eq '<' ? $row->{$what} < $limit : $row->{$what} > $limit);
    }
    return 1;
}

sub failing_rows {
    my ($terms, @rows) = @_;
    return grep { is_failing($terms, $_) } @rows;
}

1;
