package resource

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Object is implemented by every served type: a Kubernetes object with metadata.
type Object interface {
	runtime.Object
	metav1.Object
}

// Kind holds everything that is particular to one API resource. T is the pointer to its Go type. A zero field means the
// plain behaviour: no preparation, no rule beyond those of object metadata, no warnings, no status, columns name and
// age.
type Kind[T Object] struct {
	Group         Group
	Names         Names
	ClusterScoped bool // not in a namespace

	Rules     Rules[T]
	Selection Selection[T]
	Status    *Subresource[T] // nil: no status subresource
	Finalize  *Subresource[T] // nil: no finalize subresource; only namespaces have one
	Storing   Storing[T]
	Serving   Serving
	// UserRoles gives the built-in roles admin, edit and view access to a kind that Kubernetes' own definitions of these
	// roles do not list (see access). The zero value gives none.
	UserRoles UserRoles
}

// Definition is a Kind of any type.
type Definition interface {
	// DeclareIn declares the resource. The builder keeps the error, if there is one.
	DeclareIn(*Builder)
}

// DeclareIn implements Definition.
func (k Kind[T]) DeclareIn(b *Builder) { Declare(b, k) }

// Group is an API group in the one version that is served.
type Group struct {
	Version     schema.GroupVersion
	AddToScheme func(*runtime.Scheme) error // registers its Go types and those of their lists
}

// Names are the names of a resource. Plural and Singular are required, in lower case.
type Names struct {
	Plural, Singular string
	Short            []string // kubectl's abbreviations
	Categories       []string // such as "all"
}

// Rules prepare and check what clients write.
type Rules[T Object] struct {
	Default        func(obj T) // fills unset fields of what is decoded, from clients and from etcd
	PrepareCreate  func(ctx context.Context, obj T)
	PrepareUpdate  func(ctx context.Context, obj, old T)
	Validate       func(obj T) field.ErrorList
	ValidateUpdate func(obj, old T) field.ErrorList
	Warn           func(obj, old T) []string // old is nil for a new obj

	// Graceful reports whether a delete request only marks obj, so that a later request removes it; nil: never.
	Graceful func(obj T, options *metav1.DeleteOptions) bool

	AllowCreateOnUpdate      bool // PUT to a missing name creates the object
	AllowUnconditionalUpdate bool // PUT without a resourceVersion is allowed
}

// Subresource holds the rules of a write to the status or the finalizers.
type Subresource[T Object] struct {
	PrepareUpdate  func(obj, old T) // restores all fields that do not belong to the subresource
	ValidateUpdate func(obj, old T) field.ErrorList
	Warn           func(obj, old T) []string
	// Reset names the fields beside spec that PrepareUpdate restores, as paths with dots. Server-side apply ignores them.
	Reset []string
}

// Selection is what a field selector may name beside metadata.name and metadata.namespace.
type Selection[T Object] struct {
	// Fields returns the values of the selectable fields. The keys for an empty object are the allowed selectors.
	Fields func(obj T) fields.Set
	// Index is the field by which lists and watches are served without a scan; "" for none.
	Index string
}

// Storing is how objects are kept.
type Storing[T Object] struct {
	Prefix string // in etcd, below /registry; "": the plural
	TTL    uint64 // seconds until an object is removed; 0: never
	// Intern makes obj share memory with before, the preceding version of the same object, where both are equal. It must
	// not change what obj says. The watch cache keeps many versions of objects that change often; nil: no sharing.
	Intern func(obj, before T)
	// Customize sets hooks of the library's store. The subresources have the same hooks, except BeginUpdate.
	Customize func(*registry.Store)
}

// Serving is how objects are shown to clients.
type Serving struct {
	Table rest.TableConvertor // kubectl's columns; nil: name and creation time
	// Wrap replaces the handler of the resource, usually by one that embeds it; nil: it stays.
	Wrap func(*REST) rest.Storage
}
