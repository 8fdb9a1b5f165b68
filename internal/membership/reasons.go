package membership

// A Reason says why a Pod or an address is a member, or is not, or is one that gets no connections. The list is closed;
// it is the help text of everything that explains a Service.
type Reason string

const (
	// Ready: it is in, and gets connections.
	Ready Reason = "Ready"
	// PublishedNotReady: it is not ready, but the Service publishes addresses that are not (publishNotReadyAddresses).
	PublishedNotReady Reason = "PublishedNotReady"
	// NotReady: it is in, but its Ready condition is not True.
	NotReady Reason = "NotReady"
	// Terminating: it is being deleted, and gets no new connections while there is a ready one.
	Terminating Reason = "Terminating"
	// ByHand: a person wrote the address into the Endpoints.
	ByHand Reason = "ByHand"
	// ByHandNotReady: a person wrote the address into the Endpoints as one that is not ready.
	ByHandNotReady Reason = "ByHandNotReady"
	// ByName: it is what a name of viaduct.dev/backends stands for.
	ByName Reason = "ByName"
	// CheckPassed: it answers its health check.
	CheckPassed Reason = "CheckPassed"
	// CheckFailed: it does not answer its health check.
	CheckFailed Reason = "CheckFailed"
	// AllDown: it does not answer its health check, and no other address does: it gets connections all the same.
	AllDown Reason = "AllDown"
	// Followed: the Pod for which a person wrote it has another address now, and that is used (viaduct.dev/follow).
	Followed Reason = "Followed"
	// PodGone: the Pod for which a person wrote it is no more, and another Pod has the address.
	PodGone Reason = "PodGone"

	// OtherNamespace: the Pod is in another namespace than the Service.
	OtherNamespace Reason = "OtherNamespace"
	// NoSelector: the Service has no selector, so no Pod is behind it; its Endpoints are written by hand.
	NoSelector Reason = "NoSelector"
	// External: the Service is of type ExternalName: a name in DNS, with nobody behind it.
	External Reason = "External"
	// NotSelected: the Pod's labels do not match the selector.
	NotSelected Reason = "NotSelected"
	// Finished: the Pod has ended (Succeeded or Failed).
	Finished Reason = "Finished"
	// NoAddress: the Pod has no IP address yet.
	NoAddress Reason = "NoAddress"
	// OtherFamily: the Pod has no IP address of a family that the Service has.
	OtherFamily Reason = "OtherFamily"
	// NoSuchPort: no container of the Pod has a port of the name that the Service targets.
	NoSuchPort Reason = "NoSuchPort"
)

// Sentence says the reason in words, about a Pod or an address.
func (r Reason) Sentence() string {
	switch r {
	case Ready:
		return "is ready"
	case PublishedNotReady:
		return "is not ready, but the Service publishes addresses that are not ready"
	case NotReady:
		return "is not ready"
	case Terminating:
		return "is being deleted"
	case ByHand:
		return "was written by hand"
	case ByHandNotReady:
		return "was written by hand, as not ready"
	case ByName:
		return "is what a name in viaduct.dev/backends stands for"
	case CheckPassed:
		return "answers its health check"
	case CheckFailed:
		return "does not answer its health check"
	case AllDown:
		return "does not answer its health check, nor does any other address: it gets connections all the same"
	case Followed:
		return "is where the Pod is now for which another address was written (viaduct.dev/follow)"
	case PodGone:
		return "was written for a Pod that is no more, and another Pod has it now"
	case OtherNamespace:
		return "is in another namespace than the Service"
	case NoSelector:
		return "is not chosen: the Service has no selector"
	case External:
		return "is not chosen: the Service only stands for an external name"
	case NotSelected:
		return "has labels that the Service's selector does not match"
	case Finished:
		return "has finished"
	case NoAddress:
		return "has no IP address yet"
	case OtherFamily:
		return "has no IP address of the Service's family"
	case NoSuchPort:
		return "has no container port of the name that the Service targets"
	}
	return string(r)
}

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{
		Ready, PublishedNotReady, NotReady, Terminating, ByHand, ByHandNotReady, ByName, CheckPassed, CheckFailed, AllDown,
		Followed, PodGone,
		OtherNamespace, NoSelector, External, NotSelected, Finished, NoAddress, OtherFamily, NoSuchPort,
	}
}
