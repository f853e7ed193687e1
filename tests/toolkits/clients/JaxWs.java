// JAX-WS RI, its classes made from the WSDL by wsimport; see node_soap.js.
import java.util.List;
import javax.xml.ws.BindingProvider;
import javax.xml.ws.WebServiceFeature;
import javax.xml.ws.soap.MTOMFeature;
import uip.*;

public class JaxWs {
    public static void main(String[] args) throws Exception {
        UIP port = new UIP_Service(new java.net.URL(args[0])).getUIP();
        var settings = ((BindingProvider) port).getRequestContext();
        settings.put(BindingProvider.USERNAME_PROPERTY, "crm");
        settings.put(BindingProvider.PASSWORD_PROPERTY, "crm-secret");
        var context = new Context();
        context.setIdempotencyKey(args[1]);
        var customer = new RelatedParty();
        customer.setId("C1");
        customer.setName("Ann Lee");
        customer.setRole("customer");
        var item = new ProductOrderItemRequest();
        item.setId("1");
        item.setAction(ItemAction.ADD);
        item.setQuantity(1);
        item.setProductOffering("mobile-basic");
        var order = new SubmitProductOrder();
        order.setExternalId(args[1]);
        order.setRelatedParty(customer);
        order.getProductOrderItem().add(item);
        ProductOrder made = port.submitProductOrder(order, context).getSubmitProductOrderResult();
        System.out.println("call " + made.getId() + " " + made.getState().value());
        try {
            var query = new GetProductOrder();
            query.setId("nope");
            port.getProductOrder(query, context);
        } catch (Fault_Exception fault) {
            System.out.println("fault Client.NotFound " + fault.getFaultInfo().getCode().value());
        }
        System.out.println("bill" + documents(args[0], new MTOMFeature()) + documents(args[0]));
        System.exit(0);
    }

    /** A bill's documents, attached or not. */
    static String documents(String wsdl, WebServiceFeature... features) throws Exception {
        UIP port = new UIP_Service(new java.net.URL(wsdl)).getUIP(features);
        var settings = ((BindingProvider) port).getRequestContext();
        settings.put(BindingProvider.USERNAME_PROPERTY, "crm");
        settings.put(BindingProvider.PASSWORD_PROPERTY, "crm-secret");
        var asked = new GetBill();
        asked.setBillNo("UIP-1");
        var documents = new StringBuilder();
        for (BillDocument document : port.getBill(asked, null).getGetBillResult().getBillDocument()) {
            byte[] content = document.getContent().getInputStream().readAllBytes();
            documents.append(' ').append(java.util.HexFormat.of().formatHex(content));
        }
        return documents.toString();
    }
}
