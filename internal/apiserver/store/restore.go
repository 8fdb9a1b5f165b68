package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"
)

// Contents is what a snapshot holds.
type Contents struct {
	Size     int64 // bytes
	Keys     int   // without deleted ones
	Revision int64 // of the last write
}

// revisionGap is added to the revision of a restored store. Clients have seen later revisions than the snapshot's.
// If those revisions were used again, a client could take an old object for a new one, and would miss changes that
// it believes to have seen. The gap is a week of 1,500 writes per second, more than one store can handle; etcd's
// manual recommends the same number.
const revisionGap = 1_000_000_000

// Restore creates dir, which must not exist, as the directory of a member with the content of the snapshot in the
// file at path. Keys keep their revisions. The revision of the next write is far ahead, and history from before is
// refused, so that clients which have seen more than the snapshot list everything again.
func Restore(ctx context.Context, path, dir string) (Contents, error) {
	contents, err := Verify(path)
	if err != nil {
		return Contents{}, err
	}
	if err := createEmpty(ctx, dir); err != nil {
		return Contents{}, err
	}
	if err := copyContents(path, filepath.Join(dir, "member", "snap", "db"), contents.Revision+revisionGap); err != nil {
		return Contents{}, fmt.Errorf("filling the restored store: %w", err)
	}
	return contents, nil
}

// createEmpty lets etcd create the files of a new member, with everything in them that is about the member and not
// about keys.
func createEmpty(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%s exists already", dir)
	}
	member, err := startMember(ctx, dir, defaultQuota, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	member.Close()
	return nil
}

// copyContents copies the keys and leases of a snapshot into the database of a new member.
func copyContents(snapshot, database string, revision int64) error {
	from, err := openDatabase(snapshot, true)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openDatabase(database, false)
	if err != nil {
		return err
	}
	to.NoSync = true // one sync at the end is enough, since no member uses the file yet
	for _, bucket := range [][]byte{schema.Key.Name(), schema.Lease.Name()} {
		if err := copyBucket(from, to, bucket); err != nil {
			return errors.Join(err, to.Close())
		}
	}
	// A scheduled compaction at a revision makes that revision the current one, and all earlier ones unreadable.
	err = to.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(schema.Meta.Name()).Put(schema.ScheduledCompactKeyName,
			mvcc.RevToBytes(mvcc.Revision{Main: revision}, mvcc.NewRevBytes()))
	})
	return errors.Join(err, to.Sync(), to.Close())
}

// copyBatch is the number of entries of one transaction, which holds their pages in memory.
const copyBatch = 10_000

// copyBucket copies a bucket of from into the same bucket of to, which is empty.
func copyBucket(from, to *bolt.DB, name []byte) error {
	return from.View(func(source *bolt.Tx) error {
		bucket := source.Bucket(name)
		if bucket == nil {
			return nil
		}
		cursor := bucket.Cursor()
		key, value := cursor.First()
		for key != nil {
			err := to.Update(func(tx *bolt.Tx) error {
				copied, err := tx.CreateBucketIfNotExists(name)
				if err != nil {
					return err
				}
				copied.FillPercent = 0.9 // the keys come in order
				for n := 0; key != nil && n < copyBatch; n++ {
					if err := copied.Put(key, value); err != nil {
						return err
					}
					key, value = cursor.Next()
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Verify reads the whole snapshot in the file at path and returns its contents, or an error if the snapshot is
// damaged.
func Verify(path string) (Contents, error) {
	if err := checkHash(path); err != nil {
		return Contents{}, err
	}
	db, err := openDatabase(path, true)
	if err != nil {
		return Contents{}, err
	}
	defer db.Close()
	var c Contents
	err = db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return fmt.Errorf("the snapshot is damaged: %w", err)
		}
		bucket := tx.Bucket(schema.Key.Name())
		if bucket == nil {
			return errors.New("this is not a snapshot of a store: it has no keys")
		}
		c.Size = tx.Size()
		return c.count(bucket)
	})
	return c, err
}

// count reads all revisions of all keys, oldest first.
func (c *Contents) count(bucket *bolt.Bucket) error {
	alive := map[string]bool{}
	err := bucket.ForEach(func(key, value []byte) error {
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(value, &kv); err != nil {
			return fmt.Errorf("the snapshot is damaged: revision %x: %w", key, err)
		}
		revision := mvcc.BytesToBucketKey(key)
		if mvcc.IsTombstone(key) {
			delete(alive, string(kv.Key))
		} else {
			alive[string(kv.Key)] = true
		}
		c.Revision = max(c.Revision, revision.Main)
		return nil
	})
	c.Keys = len(alive)
	return err
}

// checkHash compares a snapshot with the SHA-256 at its end.
func checkHash(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - sha256.Size
	// A database consists of whole pages, so the remainder shows the hash. etcd's tools use the same test.
	if size <= 0 || size%512 != 0 {
		return errors.New("this is not a complete snapshot of a store: its size is wrong")
	}
	hash := sha256.New()
	if _, err := io.CopyN(hash, f, size); err != nil {
		return err
	}
	want, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if !bytes.Equal(hash.Sum(nil), want) {
		return errors.New("the snapshot is damaged: its SHA-256 does not match")
	}
	return nil
}

func openDatabase(path string, readOnly bool) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: readOnly, Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", path, err)
	}
	return db, nil
}
