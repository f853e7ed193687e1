# Perl SOAP::Lite, without the WSDL and with its usual xsi:type on every value; see node_soap.js.
use strict;
use warnings;
use SOAP::Lite;
my ($url, $name) = @ARGV;
$url =~ s/\?wsdl$//;
sub SOAP::Transport::HTTP::Client::get_basic_credentials { return ('crm', 'crm-secret') }
my $client = SOAP::Lite->proxy($url)->ns('urn:uip:1', 'u')->on_fault(sub { $_[1] });
my $context = SOAP::Header->name('u:Context' => \SOAP::Data->name('u:idempotencyKey' => $name)->type('string'));
sub field { return SOAP::Data->name("u:$_[0]" => $_[1]) }
my $made = $client->call('SubmitProductOrder', field(externalId => $name),
    field(relatedParty => \SOAP::Data->value(field(id => 'C1'), field(name => 'Ann Lee'), field(role => 'customer'))),
    field(productOrderItem => \SOAP::Data->value(field(id => 1), field(action => 'add'), field(quantity => 1),
                                                field(productOffering => 'mobile-basic'))), $context);
die $made->faultstring if $made->fault;
print 'call ', $made->result->{id}, ' ', $made->result->{state}, "\n";
my $fault = $client->call('GetProductOrder', field(id => 'nope'));
print 'fault ', $fault->faultcode, ' ', $fault->faultdetail->{Fault}{code}, "\n";
