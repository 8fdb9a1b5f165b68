package allocation

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// portPrefix is the prefix of the etcd keys of node ports, one key per port. (Upstream keeps one bitmap of all ports
// in one key, which every change writes.)
const portPrefix = "/registry/viaduct/nodeports/"

// ports records the holders of node ports and health check node ports.
type ports struct{ kv clientv3.KV }

func portKey(port int32) string { return portPrefix + strconv.Itoa(int(port)) }

func (p ports) claim(ctx context.Context, port int32, owner Owner) (version, error) {
	value, err := json.Marshal(owner)
	if err != nil {
		return "", fmt.Errorf("recording port %d: %w", port, err)
	}
	absent := clientv3.Compare(clientv3.CreateRevision(portKey(port)), "=", 0)
	answer, err := p.kv.Txn(ctx).If(absent).Then(clientv3.OpPut(portKey(port), string(value))).Commit()
	if err != nil {
		return "", fmt.Errorf("recording port %d: %w", port, err)
	}
	if !answer.Succeeded {
		return "", errTaken
	}
	return portVersion(answer.Header.Revision), nil
}

func (p ports) holder(ctx context.Context, port int32) (*record, error) {
	answer, err := p.kv.Get(ctx, portKey(port))
	if err != nil {
		return nil, fmt.Errorf("reading the record of port %d: %w", port, err)
	}
	for _, kv := range answer.Kvs {
		return portRecord(kv.Value, kv.ModRevision), nil
	}
	return nil, nil
}

func (p ports) release(ctx context.Context, port int32, v version) error {
	revision, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return fmt.Errorf("removing the record of port %d: %q is not a revision", port, v)
	}
	same := clientv3.Compare(clientv3.ModRevision(portKey(port)), "=", revision)
	if _, err := p.kv.Txn(ctx).If(same).Then(clientv3.OpDelete(portKey(port))).Commit(); err != nil {
		return fmt.Errorf("removing the record of port %d: %w", port, err)
	}
	return nil
}

// all reads every record. With keysOnly the records are empty, which is enough to know which ports are held.
func (p ports) all(ctx context.Context, keysOnly bool) (map[int32]*record, error) {
	options := []clientv3.OpOption{clientv3.WithPrefix()}
	if keysOnly {
		options = append(options, clientv3.WithKeysOnly())
	}
	answer, err := p.kv.Get(ctx, portPrefix, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the records of ports: %w", err)
	}
	found := map[int32]*record{}
	for _, kv := range answer.Kvs {
		n, err := strconv.ParseInt(strings.TrimPrefix(string(kv.Key), portPrefix), 10, 32)
		if err == nil {
			found[int32(n)] = portRecord(kv.Value, kv.ModRevision)
		}
	}
	return found, nil
}

// portRecord decodes a record. A record that cannot be decoded has no owner, and the repair pass removes it.
func portRecord(value []byte, revision int64) *record {
	r := &record{version: portVersion(revision)}
	_ = json.Unmarshal(value, &r.owner)
	return r
}

func portVersion(revision int64) version { return version(strconv.FormatInt(revision, 10)) }
