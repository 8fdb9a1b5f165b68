package routing

// A Reason says why a Pool holds the backends it holds. The constants below are all there are.
type Reason string

// The reasons. Sentence tells each in words.
const (
	All              Reason = "All"
	SameNode         Reason = "SameNode"
	SameZone         Reason = "SameZone"
	LocalOnly        Reason = "LocalOnly"
	OnlyTerminating  Reason = "OnlyTerminating"
	LocalTerminating Reason = "LocalTerminating"
	None             Reason = "None"
	NoneReady        Reason = "NoneReady"
	NoneLocal        Reason = "NoneLocal"
	NotAllowed       Reason = "NotAllowed"
)

// Reasons is the closed list, in the order of the help text.
func Reasons() []Reason {
	return []Reason{All, SameNode, SameZone, LocalOnly, OnlyTerminating, LocalTerminating, None, NoneReady, NoneLocal,
		NotAllowed}
}

// Sentence tells r in words, for explain and its help. It is empty for a Reason that is not in the list.
func (r Reason) Sentence() string {
	switch r {
	case All:
		return "every ready endpoint serves"
	case SameNode:
		return "only ready endpoints that are hinted for this node serve"
	case SameZone:
		return "only ready endpoints that are hinted for this node's zone serve"
	case LocalOnly:
		return "the traffic policy is Local, so only ready endpoints on this node serve"
	case OnlyTerminating:
		return "no endpoint is ready, so those that terminate but still serve are used"
	case LocalTerminating:
		return "the traffic policy is Local and no endpoint on this node is ready, so those here that terminate but still " +
			"serve are used"
	case None:
		return "the Service port has no endpoint at all"
	case NoneReady:
		return "the Service port has endpoints, but none is ready or still serving"
	case NoneLocal:
		return "the traffic policy is Local and every usable endpoint is on another node"
	case NotAllowed:
		return "the client's address is in none of loadBalancerSourceRanges"
	}
	return ""
}
