package membership

// A Reason says why a Pod or an address is a member of a Service or not, and why it gets connections or not. The list
// is closed.
type Reason string

const (
	// Ready: the Pod is listed and gets connections.
	Ready Reason = "Ready"
	// PublishedNotReady: the Pod is not ready, but the Service publishes such addresses (publishNotReadyAddresses).
	PublishedNotReady Reason = "PublishedNotReady"
	// NotReady: the Pod is listed, but its Ready condition is not True.
	NotReady Reason = "NotReady"
	// Terminating: the Pod is being deleted, and gets no new connections while another endpoint is ready.
	Terminating Reason = "Terminating"
	// ByHand: a person wrote the address into Endpoints or an EndpointSlice.
	ByHand Reason = "ByHand"
	// ByHandNotReady: a person wrote the address into Endpoints or an EndpointSlice, as not ready.
	ByHandNotReady Reason = "ByHandNotReady"
	// ByName: a name of viaduct.dev/backends resolves to the address.
	ByName Reason = "ByName"
	// CheckPassed: the address answers its health check.
	CheckPassed Reason = "CheckPassed"
	// CheckFailed: the address does not answer its health check.
	CheckFailed Reason = "CheckFailed"
	// AllDown: no address answers its health check; all of them get connections.
	AllDown Reason = "AllDown"
	// Followed: the Pod for which a person wrote the address has a new address, and that is used (viaduct.dev/follow).
	Followed Reason = "Followed"
	// PodGone: the Pod for which a person wrote the address is gone, and another Pod has the address.
	PodGone Reason = "PodGone"

	// OtherNamespace: the Pod and the Service are in different namespaces.
	OtherNamespace Reason = "OtherNamespace"
	// NoSelector: the Service has no selector, so no Pod is behind it; its Endpoints are written by hand.
	NoSelector Reason = "NoSelector"
	// External: the Service is of type ExternalName. It is a name in DNS, without endpoints.
	External Reason = "External"
	// NotSelected: the Pod's labels do not match the selector.
	NotSelected Reason = "NotSelected"
	// Finished: the Pod has ended (Succeeded or Failed).
	Finished Reason = "Finished"
	// NoAddress: the Pod has no IP address yet.
	NoAddress Reason = "NoAddress"
	// OtherFamily: the Pod has no IP address of an address family of the Service.
	OtherFamily Reason = "OtherFamily"
	// NoSuchPort: no container of the Pod has a port with the name in the Service's targetPort.
	NoSuchPort Reason = "NoSuchPort"
)

// reasonTable has every Reason with its sentence. Reasons returns this order.
var reasonTable = []struct {
	reason   Reason
	sentence string
}{
	{Ready, "is ready"},
	{PublishedNotReady, "is not ready, but the Service publishes addresses that are not ready"},
	{NotReady, "is not ready"},
	{Terminating, "is being deleted"},
	{ByHand, "was written by hand"},
	{ByHandNotReady, "was written by hand, as not ready"},
	{ByName, "is what a name in viaduct.dev/backends stands for"},
	{CheckPassed, "answers its health check"},
	{CheckFailed, "does not answer its health check"},
	{AllDown, "does not answer its health check, and neither does any other address: it gets connections nevertheless"},
	{Followed, "is where the Pod is now for which another address was written (viaduct.dev/follow)"},
	{PodGone, "was written for a Pod that is gone, and another Pod has it now"},
	{OtherNamespace, "is in another namespace than the Service"},
	{NoSelector, "is not chosen: the Service has no selector"},
	{External, "is not chosen: the Service only stands for an external name"},
	{NotSelected, "has labels that the Service's selector does not match"},
	{Finished, "has finished"},
	{NoAddress, "has no IP address yet"},
	{OtherFamily, "has no IP address of the Service's family"},
	{NoSuchPort, "has no container port of the name that the Service targets"},
}

// Sentence returns r in words that follow the name of a Pod or an address.
func (r Reason) Sentence() string {
	for _, row := range reasonTable {
		if row.reason == r {
			return row.sentence
		}
	}
	return string(r)
}

// Reasons lists every Reason.
func Reasons() []Reason {
	all := make([]Reason, 0, len(reasonTable))
	for _, row := range reasonTable {
		all = append(all, row.reason)
	}
	return all
}
