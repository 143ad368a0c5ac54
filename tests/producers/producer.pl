# SPDX-License-Identifier: MIT
use strict;
use warnings;
use autodie;
use Fcntl;
use IO::Handle;

sub drop {
    my ($spool, $name, $data) = @_;
    my ($from, $to) = ("$spool/tmp/$name", "$spool/incoming/$name");
    sysopen my $file, $from, O_CREAT | O_EXCL | O_WRONLY, 0640;
    chmod 0640, $file;
    print $file $data and $file->flush and $file->sync or die $!;
    rename $from, $to;
    $file->sync or die $!;
    close $file;
}

drop($ARGV[0], "from-perl.job", "Handler: greet\nArg: Ann\n\n");
drop($ARGV[0], "from-perl.txt", "a few words\n");
