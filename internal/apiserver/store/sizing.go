package store

import "time"

// usage is the size of a member at one moment, in bytes.
type usage struct {
	file  int64 // its database on disk
	inUse int64 // the part that holds keys and their history
}

// sizing decides when a store is compacted and defragmented. It is pure; its caller passes the time.
type sizing struct {
	quota     int64
	compacted time.Time // the last compaction
	least     int64     // the least that was in use since then

	since time.Time // start of the current measurement of waste
	most  int64     // the most that was in use since then

	lastAttempt int64 // bytes in use at the last defragmentation of a full store; 0: none
}

const (
	// compactEvery is how long etcd keeps old revisions, for clients that resume a watch or a paged list; upstream's
	// default.
	compactEvery = 5 * time.Minute
	// wasteFor is how long a part of the file must be unused before it counts as waste, since under churn the history
	// needs it again.
	wasteFor = 3 * compactEvery
	// wasteMin is the least waste, in bytes, that is worth a pause of all writes.
	wasteMin = 64 << 20
)

func newSizing(quota int64, now time.Time) *sizing {
	return &sizing{quota: quota, compacted: now, least: quota, since: now}
}

// compaction returns the reason to compact the store now, or "". The store is compacted at intervals, and earlier if
// much of the quota is in use and growing: a fixed interval could always be too long for the amount that is written.
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

// defragmentation returns the reason to defragment the file now, or "".
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

// worthDefragmenting reports whether defragmenting a full store may help. After an attempt that did not help,
// another one is worthwhile only once objects were deleted.
func (s *sizing) worthDefragmenting(u usage) bool {
	if s.lastAttempt != 0 && u.inUse > s.lastAttempt-s.quota/100 {
		return false
	}
	s.lastAttempt = u.inUse
	return true
}

// hasRoom reports whether a full store can accept writes again. A file close to the quota would be full again at
// once.
func (s *sizing) hasRoom(u usage) bool {
	if u.file > s.quota/10*9 {
		return false
	}
	s.lastAttempt = 0
	return true
}
