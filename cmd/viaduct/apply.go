package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"
)

// fieldManager is the owner of what -f applies. It is kubectl's own name, so that a later `kubectl apply --server-side`
// of the same file goes on where `up -f` left off.
const fieldManager = "kubectl"

// A manifest is text to apply, from a file or from anywhere else.
type manifest struct {
	name string // for messages
	text io.Reader
}

// An applier applies manifests to one API server.
type applier struct {
	getter genericclioptions.RESTClientGetter
	out    io.Writer // one line an object: service/web created
}

// newApplier talks to the server of dataDir's kubeconfig.
func newApplier(dataDir string, out io.Writer) *applier {
	flags := genericclioptions.NewConfigFlags(false)
	path, cache := kubeconfigIn(dataDir), filepath.Join(dataDir, "kubectl-cache")
	flags.KubeConfig, flags.CacheDir = &path, &cache
	return &applier{getter: flags, out: out}
}

// files applies files, directories of files, and, for "-", what stdin holds. It goes on after an error, and returns
// all.
func (a *applier) files(ctx context.Context, names []string) error {
	return a.apply(ctx, a.builder().FilenameParam(false, &resource.FilenameOptions{Filenames: names}))
}

// manifests applies texts, in the order given.
func (a *applier) manifests(ctx context.Context, all ...manifest) error {
	b := a.builder()
	for _, m := range all {
		b = b.Stream(m.text, m.name)
	}
	return a.apply(ctx, b)
}

func (a *applier) builder() *resource.Builder {
	return resource.NewBuilder(a.getter).Unstructured().ContinueOnError().NamespaceParam(
		metav1.NamespaceDefault).DefaultNamespace()
}

func (a *applier) apply(ctx context.Context, b *resource.Builder) error {
	defer a.disconnect()
	return b.Flatten().Do().Visit(func(info *resource.Info, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return a.one(info)
	})
}

// disconnect closes the connection, which is kept for the whole process otherwise: a server that is to end waits a
// second for it.
func (a *applier) disconnect() {
	config, err := a.getter.ToRESTConfig()
	if err != nil {
		return // then there was no connection either
	}
	if shared, err := rest.TransportFor(config); err == nil { // client-go has one for all clients of one config
		utilnet.CloseIdleConnectionsFor(shared)
	}
}

// one applies one object and prints what became of it, as kubectl does.
func (a *applier) one(info *resource.Info) error {
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
	force := true // the file is what the person wants now; a field set by `kubectl edit` meanwhile gives way
	after, err := helper.Patch(info.Namespace, info.Name, types.ApplyPatchType, data, &metav1.PatchOptions{Force: &force})
	if err != nil {
		return fmt.Errorf("%s: %s: %w", info.Source, title, err)
	}
	_, err = fmt.Fprintf(a.out, "%s %s\n", title, outcome(found, before, after))
	return err
}

// outcome names what an apply did to an object; its status may have changed meanwhile by itself.
func outcome(found bool, before, after runtime.Object) string {
	if !found {
		return "created"
	}
	if equality.Semantic.DeepEqual(asked(before), asked(after)) {
		return "unchanged"
	}
	return "configured"
}

// asked is what people ask of an object: all but its status and the server's book-keeping.
func asked(obj runtime.Object) map[string]any {
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

// checkFiles refuses names of files that are not there, before anything is started.
func checkFiles(names []string) error {
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
