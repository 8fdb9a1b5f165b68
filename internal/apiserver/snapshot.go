package apiserver

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"viaduct/internal/apiserver/resource"
	"viaduct/internal/apiserver/store"
)

// SnapshotPath is the path of a snapshot of the whole store, including every Secret, as of the time of the request.
const SnapshotPath = "/viaduct/snapshot"

// stallTimeout bounds the time that a client reads nothing of a snapshot. The store's file grows during a snapshot.
const stallTimeout = 30 * time.Second

// serveSnapshots answers SnapshotPath.
func serveSnapshots(server *genericapiserver.GenericAPIServer, schemes *resource.Schemes, etcd *store.Store) {
	refuse := func(w http.ResponseWriter, r *http.Request, err error) {
		responsewriters.ErrorNegotiated(err, schemes.Codecs, schema.GroupVersion{Version: "v1"}, w, r)
	}
	server.Handler.NonGoRestfulMux.HandleFunc(SnapshotPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			refuse(w, r, apierrors.NewMethodNotSupported(schema.GroupResource{Resource: "snapshots"}, r.Method))
			return
		}
		snapshot, err := etcd.Snapshot()
		if err != nil {
			refuse(w, r, apierrors.NewBadRequest(err.Error()))
			return
		}
		defer snapshot.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(snapshot.Size(), 10))
		if _, err := snapshot.WriteTo(stallWriter{w, http.NewResponseController(w)}); err != nil {
			panic(http.ErrAbortHandler) // the client must notice that the snapshot is incomplete
		}
	})
}

// stallWriter fails when a client reads nothing for stallTimeout.
type stallWriter struct {
	io.Writer
	control *http.ResponseController
}

func (w stallWriter) Write(p []byte) (int, error) {
	// A request from this process has no connection, and so no deadline.
	if err := w.control.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil && !errors.Is(err,
		http.ErrNotSupported) && !errors.Is(err, os.ErrNoDeadline) {
		return 0, err
	}
	return w.Writer.Write(p)
}

// longRunning exempts requests for snapshots from the request timeout.
func longRunning(known apirequest.LongRunningRequestCheck) apirequest.LongRunningRequestCheck {
	return func(r *http.Request, info *apirequest.RequestInfo) bool {
		return r.URL.Path == SnapshotPath || known(r, info)
	}
}
