# SPDX-License-Identifier: BSD-2-Clause
#
# work.pl ROUNDS - hashes, lists of lists, split, join, sort, substitution. Prints a digest.
use strict;
use warnings;

sub words_of {
    my ($seed) = @_;
    return join ' ', map { 'w' . ($_ * 7919 * $seed) % 5003 } 1 .. 40000;
}

my $digest = 0;
for my $round (1 .. $ARGV[0]) {
    my $text = words_of($round);
    my %count;
    $count{$_}++ for split / /, $text;
    my %places;
    my $at = 0;
    push @{ $places{$_} }, $at++ for split / /, $text;
    my @lists = map { [ reverse 1 .. $_ % 40 ] } 1 .. 8000;
    my @records = map { { id => $_, name => "name $_", list => $lists[$_] } } 0 .. 7999;
    my @sorted = sort { $a->{name} cmp $b->{name} } @records;
    (my $swapped = $text) =~ s/(w\d+) (w\d+)/$2 $1/g;
    my $made = join ',', map { "$_=$count{$_}:@{$places{$_}}" } sort keys %count;
    $made .= join ',', map { "$_->{id} " . scalar @{ $_->{list} } } @sorted;
    $digest = ($digest * 31 + unpack '%32C*', $made . $swapped) % 4294967291;
}
print "$digest\n";
