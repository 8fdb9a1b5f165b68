package routing

import "fmt"

// A FrontendError reports one Frontend that is not served, while all others are. A backend joins several of them with
// errors.Join; Split separates them again.
type FrontendError struct {
	Key     Key
	Service Name
	Err     error // the cause
}

// Error names the Service, the Frontend and the cause.
func (e *FrontendError) Error() string {
	return fmt.Sprintf("serving %s of Service %s: %v", e.Key, e.Service, e.Err)
}

// Unwrap returns the cause.
func (e *FrontendError) Unwrap() error { return e.Err }

// Split separates the FrontendErrors of err, in order, from the other errors. If rest is nil, all other Frontends are
// served.
func Split(err error) (frontends []*FrontendError, rest []error) {
	switch e := err.(type) {
	case nil:
		return nil, nil
	case *FrontendError:
		return []*FrontendError{e}, nil
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			f, r := Split(one)
			frontends, rest = append(frontends, f...), append(rest, r...)
		}
		return frontends, rest
	}
	return nil, []error{err}
}
