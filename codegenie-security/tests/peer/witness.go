// A witness of transparency logs (c2sp.org/tlog-witness) on golang.org/x/mod/sumdb: the peer of the anchor over HTTP.
//
// Run by tests/audit_log/witness.rs. Its argument is the verifier key of the one log that it knows. It writes its address
// and its own verifier key to standard output, and ends with standard input.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const name = "go.witness.example"

type witness struct {
	sync.Mutex
	log    note.Verifier
	key    ed25519.PrivateKey
	latest tlog.Tree
}

func keyID(public ed25519.PublicKey) []byte {
	hash := sha256.Sum256(append([]byte(name+"\n\x04"), public...))
	return hash[:4]
}

func (w *witness) ServeHTTP(out http.ResponseWriter, request *http.Request) {
	w.Lock()
	defer w.Unlock()
	if request.Method != "POST" || request.URL.Path != "/add-checkpoint" {
		http.Error(out, "no such page", 404)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	head, msg, found := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if !found || err != nil || !strings.HasPrefix(lines[0], "old ") {
		http.Error(out, "malformed", 400)
		return
	}
	proof := tlog.TreeProof{}
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			http.Error(out, "malformed", 400)
			return
		}
		proof = append(proof, hash)
	}
	opened, err := note.Open(msg, note.VerifierList(w.log))
	if err != nil {
		http.Error(out, "not signed by a known key", 403)
		return
	}
	text := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(text[1], 10, 64)
	root, other := tlog.ParseHash(text[2])
	if text[0] != w.log.Name() || err != nil || other != nil || old > size {
		http.Error(out, "malformed", 400)
		return
	}
	if old != w.latest.N || old == size && old > 0 && root != w.latest.Hash {
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(409)
		fmt.Fprintf(out, "%d\n", w.latest.N)
		return
	}
	if old > 0 {
		err = tlog.CheckTree(proof, size, root, old, w.latest.Hash)
	}
	if err != nil || old == 0 && len(proof) > 0 {
		http.Error(out, "the proof does not hold", 422)
		return
	}
	w.latest = tlog.Tree{N: size, Hash: root}
	now := uint64(time.Now().Unix())
	signature := ed25519.Sign(w.key, []byte(fmt.Sprintf("cosignature/v1\ntime %d\n%s", now, opened.Text)))
	line := append(binary.BigEndian.AppendUint64(keyID(w.key.Public().(ed25519.PublicKey)), now), signature...)
	fmt.Fprintf(out, "— %s %s\n", name, base64.StdEncoding.EncodeToString(line))
}

func main() {
	verifier, err := note.NewVerifier(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(append([]byte{4}, public...))
	fmt.Printf("http://%s\n%s+%x+%s\n", listener.Addr(), name, keyID(public), key)
	go http.Serve(listener, &witness{log: verifier, key: private})
	io.Copy(io.Discard, os.Stdin)
}
