package nftables

import (
	"golang.org/x/sys/unix"
)

// What golang.org/x/sys/unix does not name.
const (
	setElemKeyEnd = 10   // NFTA_SET_ELEM_KEY_END, Linux 5.6
	setDescConcat = 2    // NFTA_SET_DESC_CONCAT, Linux 5.6
	setFieldLen   = 1    // NFTA_SET_FIELD_LEN, Linux 5.6
	setElemEnd    = 0x01 // NFT_SET_ELEM_INTERVAL_END

	dataVerdict = 0xffffff00 // NFT_DATA_VERDICT

	// SetConcat is NFT_SET_CONCAT, Linux 5.6: the keys of a set of intervals have several fields.
	SetConcat = 0x80
)

// A DataType is the type of one field of a key or of data.
type DataType struct {
	ID   uint32 // nft's number for the type, from enum datatypes of libnftables; the kernel only stores it
	Size uint32 // in bytes
}

// The data types, by nft's names.
var (
	TypeIPv4Addr    = DataType{7, 4}
	TypeIPv6Addr    = DataType{8, 16}
	TypeInetProto   = DataType{12, 1}
	TypeInetService = DataType{13, 2}
	TypeMark        = DataType{19, 4}
)

// AddrType is the data type of the family's addresses.
func (f Family) AddrType() DataType {
	if f == IPv6 {
		return TypeIPv6Addr
	}
	return TypeIPv4Addr
}

// A Set is a set, or a map if it has Data.
type Set struct {
	Name  string
	Key   []DataType
	Data  []DataType
	Goto  bool   // it is a map whose data are chains; Data is empty
	Flags uint32 // NFT_SET_…; AddSet adds NFT_SET_MAP to those of a map
	Limit uint32 // the largest number of elements; 0: no limit
}

// KernelFlags are the flags that the kernel holds for the set.
func (s Set) KernelFlags() uint32 {
	if len(s.Data) > 0 || s.Goto {
		return s.Flags | unix.NFT_SET_MAP
	}
	return s.Flags
}

// AddSet makes a set. A set that exists stays as it is; EEXIST if its type differs. number is any number that no other
// set of the same transaction has.
func (t Table) AddSet(s Set, number uint32) Message {
	m := t.message(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE)
	m.body.Text(unix.NFTA_SET_NAME, s.Name)
	m.body.Uint32(unix.NFTA_SET_FLAGS, s.KernelFlags())
	id, size := concatenated(s.Key)
	m.body.Uint32(unix.NFTA_SET_KEY_TYPE, id)
	m.body.Uint32(unix.NFTA_SET_KEY_LEN, size)
	if len(s.Data) > 0 {
		id, size := concatenated(s.Data)
		m.body.Uint32(unix.NFTA_SET_DATA_TYPE, id)
		m.body.Uint32(unix.NFTA_SET_DATA_LEN, size)
	}
	if s.Goto {
		m.body.Uint32(unix.NFTA_SET_DATA_TYPE, dataVerdict)
	}
	m.body.Uint32(unix.NFTA_SET_ID, number)
	s.describe(&m.body)
	return m
}

// describe adds NFTA_SET_DESC: the limit, and the fields of a key with intervals of several fields.
func (s Set) describe(a *Attrs) {
	concat := s.Flags&SetConcat != 0
	if s.Limit == 0 && !concat {
		return
	}
	a.Nest(unix.NFTA_SET_DESC, func() {
		if s.Limit > 0 {
			a.Uint32(unix.NFTA_SET_DESC_SIZE, s.Limit)
		}
		if !concat {
			return
		}
		a.Nest(setDescConcat, func() {
			for _, field := range s.Key {
				a.Nest(unix.NFTA_LIST_ELEM, func() { a.Uint32(setFieldLen, field.Size) })
			}
		})
	})
}

// concatenated is the type and the size of several fields together. nft gives each field 6 bits of the type; each of
// several fields begins at a multiple of 4 bytes.
func concatenated(fields []DataType) (id, size uint32) {
	if len(fields) == 1 {
		return fields[0].ID, fields[0].Size
	}
	for _, field := range fields {
		id = id<<6 | field.ID
		size += (field.Size + 3) &^ 3
	}
	return id, size
}

// DeleteSet removes a set with its elements. The kernel refuses it while a rule uses the set (EBUSY).
func (t Table) DeleteSet(name string) Message {
	m := t.message(unix.NFT_MSG_DELSET, 0)
	m.body.Text(unix.NFTA_SET_NAME, name)
	return m
}

// FlushSet removes all elements of a set.
func (t Table) FlushSet(name string) Message {
	m := t.message(unix.NFT_MSG_DELSETELEM, 0)
	m.body.Text(unix.NFTA_SET_ELEM_LIST_SET, name)
	return m
}

// An Element is one element of a set or map. Several fields of a key or of data each begin at a multiple of 4 bytes.
type Element struct {
	Key     []byte
	KeyEnd  []byte // the last key of an interval, in a set with the flag SetConcat; else nil
	Data    []byte // nil in sets
	Goto    string // in a map of chains, the chain; else empty
	Comment string // at most 127 bytes, which is nft's limit

	// IntervalEnd marks the end of an interval in a set with the flag NFT_SET_INTERVAL and without SetConcat: Key is the
	// first key after it.
	IntervalEnd bool
}

// MaxElements is the number of elements that one message is sure to hold: the list is one attribute, which has at most
// 64 KiB.
const MaxElements = 400

// AddElements adds at most MaxElements elements to a set. An element that exists stays as it is; EEXIST if its data
// differs.
func (t Table) AddElements(set string, list []Element) Message {
	return t.elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, set, list)
}

// DeleteElements removes at most MaxElements elements from a set; ENOENT if one does not exist. Data and comments do
// not matter.
func (t Table) DeleteElements(set string, list []Element) Message {
	return t.elements(unix.NFT_MSG_DELSETELEM, 0, set, list)
}

func (t Table) elements(kind, flags uint16, set string, list []Element) Message {
	m := t.sized(kind, flags, 64+len(list)*96)
	m.body.Text(unix.NFTA_SET_ELEM_LIST_SET, set)
	at := m.body.open(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	for i := range list {
		m.body.element(&list[i], kind == unix.NFT_MSG_NEWSETELEM)
	}
	m.body.close(at)
	return m
}

func (a *Attrs) element(e *Element, whole bool) {
	at := a.open(unix.NFTA_LIST_ELEM)
	if e.IntervalEnd {
		a.Uint32(unix.NFTA_SET_ELEM_FLAGS, setElemEnd)
	}
	a.data(unix.NFTA_SET_ELEM_KEY, e.Key)
	if e.KeyEnd != nil {
		a.data(setElemKeyEnd, e.KeyEnd)
	}
	if whole && e.Data != nil {
		a.data(unix.NFTA_SET_ELEM_DATA, e.Data)
	}
	if whole && e.Goto != "" {
		a.Nest(unix.NFTA_SET_ELEM_DATA, func() { a.verdictData(unix.NFT_GOTO, e.Goto) })
	}
	if whole && e.Comment != "" {
		a.Bytes(unix.NFTA_SET_ELEM_USERDATA, commentData(e.Comment))
	}
	a.close(at)
}

// data appends a value of the kind that registers hold.
func (a *Attrs) data(kind uint16, value []byte) {
	at := a.open(kind)
	a.Bytes(unix.NFTA_DATA_VALUE, value)
	a.close(at)
}

// decodeElements reads the elements of one message about a set. Keys and data alias body.
func decodeElements(body []byte, each func(Element)) {
	list := find(body, unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	for _, one, rest, ok := next(list); ok; _, one, rest, ok = next(rest) {
		each(decodeElement(one))
	}
}

func decodeElement(b []byte) (e Element) {
	for kind, value, rest, ok := next(b); ok; kind, value, rest, ok = next(rest) {
		switch kind {
		case unix.NFTA_SET_ELEM_KEY:
			e.Key = find(value, unix.NFTA_DATA_VALUE)
		case setElemKeyEnd:
			e.KeyEnd = find(value, unix.NFTA_DATA_VALUE)
		case unix.NFTA_SET_ELEM_DATA:
			e.Data = find(value, unix.NFTA_DATA_VALUE)
			e.Goto = text(find(find(value, unix.NFTA_DATA_VERDICT), unix.NFTA_VERDICT_CHAIN))
		case unix.NFTA_SET_ELEM_USERDATA:
			e.Comment = commentOf(value)
		case unix.NFTA_SET_ELEM_FLAGS:
			e.IntervalEnd = number(value)&setElemEnd != 0
		}
	}
	return e
}
