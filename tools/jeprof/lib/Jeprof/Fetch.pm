# SPDX-License-Identifier: BSD-2-Clause
#
# Profiles from http and https URLs, kept as the original keeps them: below JEPROF_TMPDIR, or
# ~/jeprof. curl does the work, which knows proxies, certificates and passwords.
package Jeprof::Fetch;
use strict;
use warnings;

use Exporter qw(import);
use File::Path ();
use File::Temp ();
use Jeprof::Base qw(fail);

our @EXPORT_OK = qw(is_url fetch);

my $CONNECT_SECONDS = 10;
my $GRACE_SECONDS = 60;

# With a scheme, or host:port and a path or nothing: never a mere name, which may be a typing error.
sub is_url {
    my ($name) = @_;
    return $name =~ m{\Ahttps?://[^/]} || $name =~ m{\A[\w.-]+:\d+(?:/|\z)} && !-e $name;
}

# Of the kinds of pages that gperftools' server has, that of the heap if none is named.
sub url_of {
    my ($name, $seconds) = @_;
    my $url = $name =~ m{\Ahttps?://} ? $name : "http://$name";

    $url .= '/pprof/heap' if $url =~ m{\Ahttps?://[^/]+/?\z} && $url =~ s{/\z}{}r;
    $url =~ s{(?<!:)//}{/}g;
    $url .= ($url =~ /\?/ ? '&' : '?') . "seconds=$seconds" if defined $seconds && $url !~ /seconds=/;
    return $url;
}

# The file into which the profile was fetched.
sub fetch {
    my ($name, $seconds) = @_;
    my $url = url_of($name, $seconds);
    my $folder = $ENV{JEPROF_TMPDIR} // (defined $ENV{HOME} ? "$ENV{HOME}/jeprof" : File::Temp::tempdir(CLEANUP => 1));

    File::Path::make_path($folder, { error => \my $errors });
    fail("$folder: ", values %{ $errors->[0] }, '; JEPROF_TMPDIR names another folder') if @$errors;
    fail("$url: needs curl; Debian: apt-get install curl") if !grep { -x "$_/curl" } split /:/, $ENV{PATH} // '';
    my $base = $url =~ s{\Ahttps?://}{}r =~ s/[^\w.-]+/./gr;
    my (undef, $path) = File::Temp::tempfile(substr($base, 0, 80) . '.XXXXXX', SUFFIX => '.heap', DIR => $folder);
    my $status = system 'curl', '-sS', '--fail', '-L', '--connect-timeout', $CONNECT_SECONDS, '--max-time',
        ($seconds // 0) + $GRACE_SECONDS, '-o', $path, '--', $url;
    if ($status != 0) {
        unlink $path;
        fail("$url: cannot be fetched (curl ended with ", $status >> 8, ')');
    }
    print STDERR "jeprof: fetched $url to $path\n";
    return $path;
}

1;
