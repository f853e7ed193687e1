<?php
// PHP's SoapClient; see node_soap.js.
[, $url, $name] = $argv;
$client = new SoapClient($url, ['login' => 'crm', 'password' => 'crm-secret', 'cache_wsdl' => WSDL_CACHE_NONE,
                                'features' => SOAP_SINGLE_ELEMENT_ARRAYS]);
$client->__setSoapHeaders(new SoapHeader('urn:uip:1', 'Context', ['idempotencyKey' => $name]));
$made = $client->SubmitProductOrder(['externalId' => $name, 'relatedParty' => ['id' => 'C1', 'name' => 'Ann Lee', 'role' => 'customer'],
    'productOrderItem' => [['id' => '1', 'action' => 'add', 'quantity' => 1, 'productOffering' => 'mobile-basic']]]);
echo "call {$made->SubmitProductOrderResult->id} {$made->SubmitProductOrderResult->state}\n";
try {
    $client->GetProductOrder(['id' => 'nope']);
} catch (SoapFault $fault) {
    echo "fault {$fault->faultcode} {$fault->detail->Fault->code}\n";
}
echo 'bill';
foreach ($client->GetBill(['billNo' => 'UIP-1'])->GetBillResult->billDocument as $document) {
    echo ' ', bin2hex($document->content);
}
echo "\n";
