package routing

import "fmt"

// Kind, Proto, Action and Policy are encoded in JSON and similar formats as their String. The zero value of each, which
// is not one of the constants, is encoded as "".

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return marshal(k) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(text []byte) error { return unmarshal(k, text) }

// MarshalText implements encoding.TextMarshaler.
func (p Proto) MarshalText() ([]byte, error) { return marshal(p) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Proto) UnmarshalText(text []byte) error { return unmarshal(p, text) }

// MarshalText implements encoding.TextMarshaler.
func (a Action) MarshalText() ([]byte, error) { return marshal(a) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Action) UnmarshalText(text []byte) error { return unmarshal(a, text) }

// MarshalText implements encoding.TextMarshaler.
func (p Policy) MarshalText() ([]byte, error) { return marshal(p) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Policy) UnmarshalText(text []byte) error { return unmarshal(p, text) }

// named is a small number with a name.
type named interface {
	~uint8
	fmt.Stringer
}

func marshal[T named](v T) ([]byte, error) {
	if v == 0 {
		return []byte{}, nil
	}
	return []byte(v.String()), nil
}

// unmarshal finds the value whose name is text. The search covers the values 0 to 15; no type has more.
func unmarshal[T named](to *T, text []byte) error {
	for v := range T(16) {
		if name, _ := marshal(v); string(name) == string(text) { // marshal never fails
			*to = v
			return nil
		}
	}
	return fmt.Errorf("%q is no %T", text, *to)
}
