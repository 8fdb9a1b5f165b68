package routing

// A Reason is the reason for the backends of a Pool. The constants below are the complete list.
type Reason string

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
	Drained          Reason = "Drained"
	NotAllowed       Reason = "NotAllowed"
)

// sentences has one row for each Reason, in the order of the help text.
var sentences = [...]struct {
	reason   Reason
	sentence string
}{
	{All, "every ready endpoint serves"},
	{SameNode, "only ready endpoints that are hinted for this node serve"},
	{SameZone, "only ready endpoints that are hinted for this node's zone serve"},
	{LocalOnly, "the traffic policy is Local, so only ready endpoints on this node serve"},
	{OnlyTerminating, "no endpoint is ready, so those that terminate but still serve are used"},
	{LocalTerminating, "the traffic policy is Local and no endpoint on this node is ready, so those here that terminate " +
		"but still serve are used"},
	{None, "the Service port has no endpoint at all"},
	{NoneReady, "the Service port has endpoints, but none is ready or still serving"},
	{NoneLocal, "the traffic policy is Local and every usable endpoint is on another node"},
	{Drained, "every endpoint that could serve has the weight 0, so none gets new connections"},
	{NotAllowed, "the client's address is in none of loadBalancerSourceRanges"},
}

// Reasons lists every Reason, in the order of the help text.
func Reasons() []Reason {
	list := make([]Reason, len(sentences))
	for i, row := range sentences {
		list[i] = row.reason
	}
	return list
}

// Sentence describes r in words, for explain and its help. It is empty for a Reason that is not in the list.
func (r Reason) Sentence() string {
	for _, row := range sentences {
		if row.reason == r {
			return row.sentence
		}
	}
	return ""
}
