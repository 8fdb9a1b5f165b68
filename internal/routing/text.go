package routing

import "fmt"

// The spellings of Kind, Proto, Action and Policy in JSON and the like are those of String. The zero of each, which is
// none of them, is "".

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

// unmarshal finds the value of that name among the few that there are.
func unmarshal[T named](to *T, text []byte) error {
	for v := range T(16) {
		if name, _ := marshal(v); string(name) == string(text) { // marshal knows no error
			*to = v
			return nil
		}
	}
	return fmt.Errorf("%q is no %T", text, *to)
}
