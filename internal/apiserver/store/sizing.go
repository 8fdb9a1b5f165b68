package store

import "time"

// usage is what a member takes at one moment, in bytes.
type usage struct {
	file  int64 // its database on disk
	inUse int64 // of that, what holds keys and their history
}

// sizing decides when a store is to be compacted and defragmented. It is pure: the time comes from outside.
type sizing struct {
	quota     int64
	compacted time.Time // the last compaction
	least     int64     // the least that was in use since then

	since time.Time // when the waste began to be measured
	most  int64     // the most that was in use since then

	healed int64 // what was in use after the last attempt at healing
}

const (
	// compactEvery is how long etcd keeps old revisions for clients that resume a watch or a paged list; upstream's
	// default.
	compactEvery = 5 * time.Minute
	// wasteFor is how long a part of the file must go unused before it counts as waste: under churn the history needs it
	// again.
	wasteFor = 3 * compactEvery
	// wasteMin is what is worth a pause of all writes, in bytes.
	wasteMin = 64 << 20
)

func newSizing(quota int64, now time.Time) *sizing {
	return &sizing{quota: quota, compacted: now, least: quota, since: now}
}

// compaction says why the store is to be compacted now; empty: it is not. It is at intervals, and sooner where a good
// part of the quota is in use and still growing: then by the amount written, for a fixed interval could always be too
// long.
func (s *sizing) compaction(now time.Time, u usage) string {
	s.least = min(s.least, u.inUse)
	why := ""
	switch {
	case now.Sub(s.compacted) >= compactEvery:
		why = "interval"
	case u.inUse > s.quota/2 && u.inUse-s.least > s.quota/10:
		why = "growth"
	default:
		return ""
	}
	s.compacted, s.least = now, u.inUse
	return why
}

// defragmentation says why the file is to be rewritten now; empty: it is not.
func (s *sizing) defragmentation(now time.Time, u usage) string {
	s.most = max(s.most, u.inUse)
	why := ""
	switch {
	case u.file > s.quota/4*3 && u.inUse < u.file/2:
		why = "close to the quota"
	case now.Sub(s.since) < wasteFor:
		return ""
	case s.most < u.file/2 && u.file-s.most > wasteMin:
		why = "waste"
	}
	s.since, s.most = now, u.inUse
	return why
}

// worthHealing says whether defragmenting a full store may help. Where it did not help before, it is worth a new
// attempt only once something was deleted.
func (s *sizing) worthHealing(u usage) bool {
	if s.healed != 0 && u.inUse > s.healed-s.quota/100 {
		return false
	}
	s.healed = u.inUse
	return true
}

// roomy says whether a full store can take writes again. What is too close to the quota would be full at once.
func (s *sizing) roomy(u usage) bool {
	if u.file > s.quota/10*9 {
		return false
	}
	s.healed = 0
	return true
}
