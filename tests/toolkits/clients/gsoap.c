/* gSOAP, its code generated from the WSDL by wsdl2h and soapcpp2; see node_soap.js. */
#include "soapH.h"
#include "UIP.nsmap"

static void prepare(struct soap *soap, struct SOAP_ENV__Header *header) {
    soap->userid = "crm";
    soap->passwd = "crm-secret";
    soap->header = header;
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    *strchr(argv[1], '?') = 0;
    struct soap *soap = soap_new();
    struct ns1__Context context = {0};
    context.idempotencyKey = argv[2];
    struct SOAP_ENV__Header header = {&context};

    struct ns1__RelatedParty customer = {.id = "C1", .name = "Ann Lee", .role = "customer"};
    enum ns1__ItemAction add = ns1__ItemAction__add;
    int quantity = 1;
    struct ns1__ProductOrderItemRequest item = {.id = "1", .action = &add, .quantity = &quantity, .productOffering = "mobile-basic"};
    struct ns1__SubmitProductOrder order = {.externalId = argv[2], .relatedParty = &customer, .__sizeproductOrderItem = 1,
                                            .productOrderItem = &item};
    struct ns1__SubmitProductOrderResponse made;
    prepare(soap, &header);
    if (soap_call___ns1__SubmitProductOrder(soap, argv[1], NULL, &order, &made)) {
        soap_print_fault(soap, stderr);
        return 1;
    }
    printf("call %s %s\n", made.SubmitProductOrderResult->id,
           soap_ns1__ProductOrderState2s(soap, made.SubmitProductOrderResult->state));

    struct ns1__GetProductOrder query = {.id = "nope"};
    struct ns1__GetProductOrderResponse found;
    prepare(soap, &header);
    if (soap_call___ns1__GetProductOrder(soap, argv[1], NULL, &query, &found) != SOAP_OK && soap->fault && soap->fault->detail)
        printf("fault %s %s\n", *soap_faultcode(soap), soap_ns1__Kind2s(soap, soap->fault->detail->ns1__Fault->code));

    struct ns1__GetBill wanted = {.billNo = "UIP-1"};
    struct ns1__GetBillResponse got;
    prepare(soap, &header);
    soap->http_extra_header = "Accept: text/xml, multipart/related";
    if (soap_call___ns1__GetBill(soap, argv[1], NULL, &wanted, &got)) {
        soap_print_fault(soap, stderr);
        return 1;
    }
    printf("bill");
    for (int n = 0; n < got.GetBillResult->__sizebillDocument; n++) {
        printf(" ");
        for (int i = 0; i < got.GetBillResult->billDocument[n].content.__size; i++)
            printf("%02x", got.GetBillResult->billDocument[n].content.__ptr[i]);
    }
    printf("\n");
    return 0;
}
