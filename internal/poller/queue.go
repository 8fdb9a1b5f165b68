package poller

// queue is a heap of entries; the entry that is due first comes first.
type queue[O, T comparable, S any] []*entry[O, T, S]

func (q queue[O, T, S]) Len() int           { return len(q) }
func (q queue[O, T, S]) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue[O, T, S]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue[O, T, S]) Push(x any) {
	e := x.(*entry[O, T, S])
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *queue[O, T, S]) Pop() any {
	old := *q
	e := old[len(old)-1]
	e.index = -1
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}
