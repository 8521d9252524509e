package ipfs_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/ipfs"
)

const benchmarkSize = 256 << 20

// Benchmark256MB compares an encrypted add and get through medfed with a plain
// add and get of as many bytes through the same Kubo node's own RPC. The two take
// turns, each call in a process of its own; what is reported are the medians, their
// ratios, and the greatest peak memory of the processes that were medfed's client.
//
//	MEDFED_BIN=<folder with ipfs> go test -run '^$' -bench 256MB -benchtime 5x ./client/ipfs
func Benchmark256MB(b *testing.B) {
	node := newKubo(b, swarmKey(b))
	node.start(b)
	folder := b.TempDir()
	content := filepath.Join(folder, "content")
	writeRandom(b, content)
	key := filepath.Join(folder, "age.key")
	if _, err := envelope.LoadOrCreateIdentity(key); err != nil {
		b.Fatal(err)
	}
	job := job{URL: "http://" + node.api, Token: tokenFile(b, token), Content: content, Key: key}
	seconds := map[string][]float64{}
	var peak float64
	call := func(do, id string) string {
		job.Do, job.CID = do, id
		done := job.run(b)
		seconds[do] = append(seconds[do], done.Seconds)
		if strings.HasPrefix(do, "medfed") {
			peak = max(peak, done.PeakMB)
		}
		return done.CID
	}
	for b.Loop() {
		theirs, ours := call("kubo-add", ""), call("medfed-add", "")
		call("kubo-get", theirs)
		call("medfed-get", ours)
	}
	for _, do := range []string{"add", "get"} {
		ours, theirs := median(seconds["medfed-"+do]), median(seconds["kubo-"+do])
		b.ReportMetric(ours, "medfed-"+do+"-s")
		b.ReportMetric(theirs, "kubo-"+do+"-s")
		b.ReportMetric(ours/theirs, do+"-ratio")
	}
	b.ReportMetric(peak, "peak-MB")
	b.ReportMetric(0, "ns/op")
	b.Logf("seconds of every call: %v", seconds)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func writeRandom(b *testing.B, path string) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, mathrand.NewChaCha8([32]byte{1}), benchmarkSize); err != nil {
		b.Fatal(err)
	}
}

// job is one timed call, done by this test's binary as a process of its own.
type job struct{ Do, CID, URL, Token, Content, Key string }

type done struct {
	CID             string
	Seconds, PeakMB float64
}

const jobVariable = "MEDFED_TEST_JOB"

func (j job) run(b *testing.B) done {
	b.Helper()
	encoded, err := json.Marshal(j)
	if err != nil {
		b.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run", "^TestJob$")
	c.Env = append(os.Environ(), jobVariable+"="+string(encoded))
	out, err := c.CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v\n%s", j.Do, err, out)
	}
	var d done
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&d); err != nil {
		b.Fatalf("%s: %v\n%s", j.Do, err, out)
	}
	return d
}

// TestJob is the process that [Benchmark256MB] starts for each call.
func TestJob(t *testing.T) {
	var j job
	if json.Unmarshal([]byte(os.Getenv(jobVariable)), &j) != nil {
		t.Skip("only Benchmark256MB runs it")
	}
	calls := map[string]func(testing.TB) (string, error){
		"medfed-add": j.medfedAdd, "medfed-get": j.medfedGet, "kubo-add": j.kuboAdd, "kubo-get": j.kuboGet,
	}
	start := time.Now()
	id, err := calls[j.Do](t)
	if err != nil {
		t.Fatal(err)
	}
	d := done{CID: id, Seconds: time.Since(start).Seconds(), PeakMB: peakMB(t)}
	if err := json.NewEncoder(os.Stdout).Encode(d); err != nil {
		t.Fatal(err)
	}
}

// peakMB is this process's peak resident memory, as Linux counts it; 0 elsewhere.
func peakMB(t testing.TB) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return float64(kb) / 1024
}

func (j job) client(t testing.TB) (*ipfs.Client, *envelope.Identity) {
	t.Helper()
	client, err := ipfs.Open(ipfs.Config{URL: j.URL, TokenFile: j.Token})
	if err != nil {
		t.Fatal(err)
	}
	key, err := envelope.LoadIdentity(j.Key)
	if err != nil {
		t.Fatal(err)
	}
	return client, key
}

func (j job) medfedAdd(t testing.TB) (string, error) {
	client, key := j.client(t)
	f, err := os.Open(j.Content)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sealed, err := envelope.SealReader(f, key.Recipient())
	if err != nil {
		return "", err
	}
	defer sealed.Close()
	return client.Add(t.Context(), sealed)
}

func (j job) medfedGet(t testing.TB) (string, error) {
	client, key := j.client(t)
	sealed, err := client.Get(t.Context(), j.CID)
	if err != nil {
		return "", err
	}
	defer sealed.Close()
	plain, err := envelope.Open(sealed, key)
	if err != nil {
		return "", err
	}
	return "", discardAll(plain)
}

func discardAll(r io.Reader) error {
	if n, err := io.Copy(io.Discard, r); err != nil || n != benchmarkSize {
		return fmt.Errorf("%d bytes: %w", n, err)
	}
	return nil
}

func (j job) rpc(body io.Reader, contentType, command string) (*http.Response, error) {
	request, err := http.NewRequest(http.MethodPost, j.URL+"/api/v0/"+command, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", contentType)
	answer, err := http.DefaultClient.Do(request)
	if err == nil && answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		err = fmt.Errorf("%s: %s", command, answer.Status)
	}
	return answer, err
}

// kuboAdd puts a random number of random bytes before the content, so that every
// chunk is new to the node, as every chunk of a ciphertext is.
func (j job) kuboAdd(testing.TB) (string, error) {
	f, err := os.Open(j.Content)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fresh := 1 + mathrand.Int64N(1<<20)
	var head, tail bytes.Buffer
	form := multipart.NewWriter(&head)
	if _, err := form.CreateFormFile("file", "content"); err != nil {
		return "", err
	}
	io.CopyN(&head, rand.Reader, fresh)
	fmt.Fprintf(&tail, "\r\n--%s--\r\n", form.Boundary())
	body := io.MultiReader(&head, io.LimitReader(f, benchmarkSize-fresh), &tail)
	answer, err := j.rpc(body, form.FormDataContentType(), "add?cid-version=1&raw-leaves=true&chunker=size-1048576&max-file-links=1024&pin=true&progress=false")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var added struct{ Hash string }
	err = json.NewDecoder(answer.Body).Decode(&added)
	return added.Hash, err
}

func (j job) kuboGet(testing.TB) (string, error) {
	answer, err := j.rpc(nil, "", "cat?progress=false&arg="+j.CID)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	return "", discardAll(answer.Body)
}
