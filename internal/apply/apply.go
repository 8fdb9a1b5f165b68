// Package apply applies manifests to an API server as `kubectl apply --server-side` does. It uses kubectl's own field
// manager, so a later `kubectl apply --server-side` of the same file owns the same fields.
package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"

	"viaduct/internal/datadir"
)

// fieldManager is kubectl's field manager.
const fieldManager = "kubectl"

// A Manifest is the text of one or several objects, as YAML or JSON.
type Manifest struct {
	Name string // for error messages
	Text io.Reader
}

// An Applier applies manifests to one API server.
type Applier struct {
	getter genericclioptions.RESTClientGetter
	out    io.Writer
}

// New returns an Applier for the server of a data directory's kubeconfig. It writes one line for each object to out:
// "service/web created", "configured" or "unchanged".
func New(dataDir string, out io.Writer) *Applier {
	flags := genericclioptions.NewConfigFlags(false)
	path, cache := datadir.Kubeconfig(dataDir), datadir.KubectlCache(dataDir)
	flags.KubeConfig, flags.CacheDir = &path, &cache
	return &Applier{getter: flags, out: out}
}

// Files applies files, URLs, the files of directories, and standard input for the name "-". It continues after an error
// and returns all errors; see Errors.
func (a *Applier) Files(ctx context.Context, names []string) error {
	return a.apply(ctx, a.builder().FilenameParam(false, &resource.FilenameOptions{Filenames: names}))
}

// Manifests applies manifests in order. It continues after an error and returns all errors; see Errors.
func (a *Applier) Manifests(ctx context.Context, manifests ...Manifest) error {
	b := a.builder()
	for _, m := range manifests {
		b = b.Stream(m.Text, m.Name)
	}
	return a.apply(ctx, b)
}

func (a *Applier) builder() *resource.Builder {
	return resource.NewBuilder(a.getter).Unstructured().ContinueOnError().NamespaceParam(
		metav1.NamespaceDefault).DefaultNamespace()
}

func (a *Applier) apply(ctx context.Context, b *resource.Builder) error {
	defer a.disconnect()
	return b.Flatten().Do().Visit(func(info *resource.Info, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return a.object(info)
	})
}

// disconnect closes the connection to the server. client-go keeps it open for the whole process otherwise, and a server
// that shuts down waits a second for it.
func (a *Applier) disconnect() {
	config, err := a.getter.ToRESTConfig()
	if err != nil {
		return // without a config there was no connection
	}
	if shared, err := rest.TransportFor(config); err == nil { // client-go shares one transport for one config
		utilnet.CloseIdleConnectionsFor(shared)
	}
}

// object applies one object and prints the result as kubectl does.
func (a *Applier) object(info *resource.Info) error {
	title := fmt.Sprintf("%s/%s", strings.ToLower(info.Mapping.GroupVersionKind.Kind), info.Name)
	data, err := runtime.Encode(unstructured.UnstructuredJSONScheme, info.Object)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", info.Source, title, err)
	}
	helper := resource.NewHelper(info.Client, info.Mapping).WithFieldManager(fieldManager).WithFieldValidation(
		metav1.FieldValidationStrict)
	before, err := helper.Get(info.Namespace, info.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("%s: %s: %w", info.Source, title, err)
	}
	found := err == nil
	force := true // the file takes over a field that `kubectl edit` owns
	after, err := helper.Patch(info.Namespace, info.Name, types.ApplyPatchType, data, &metav1.PatchOptions{Force: &force})
	if err != nil {
		return fmt.Errorf("%s: %s: %w", info.Source, title, err)
	}
	_, err = fmt.Fprintf(a.out, "%s %s\n", title, outcome(found, before, after))
	return err
}

// outcome names the effect of an apply. It ignores the status, which a controller may have changed meanwhile.
func outcome(found bool, before, after runtime.Object) string {
	if !found {
		return "created"
	}
	if equality.Semantic.DeepEqual(desired(before), desired(after)) {
		return "unchanged"
	}
	return "configured"
}

// desired is an object without its status and without the server's own fields.
func desired(obj runtime.Object) map[string]any {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	u = u.DeepCopy()
	u.SetResourceVersion("")
	u.SetManagedFields(nil)
	delete(u.Object, "status")
	return u.Object
}

// Errors splits an error of Files or Manifests into one error for each object. It removes the REST mapper's hint to
// install CRDs, because Viaduct's API server has none.
func Errors(err error) []string {
	all := []error{err}
	var several utilerrors.Aggregate
	if errors.As(err, &several) {
		all = utilerrors.Flatten(several).Errors()
	}
	var texts []string
	for _, e := range all {
		texts = append(texts, strings.TrimSuffix(e.Error(), "\nensure CRDs are installed first"))
	}
	return texts
}

// CheckFiles returns an error if a file of names does not exist, or if "-" (standard input) is given twice. It does not
// read the files.
func CheckFiles(names []string) error {
	stdin := 0
	for _, name := range names {
		if name == "-" {
			stdin++
			continue
		}
		if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("reading -f: %w", err)
		}
	}
	if stdin > 1 {
		return fmt.Errorf("-f - is given %d times, but there is one stdin", stdin)
	}
	return nil
}
