package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/medfed/medfed/client/gateway"
)

// AskIPFS sends a command, such as cat?arg=CID, to the RPC of an IPFS node as it is, without
// the checks of a client, and gives its answer: http.StatusOK only where that came whole.
func AskIPFS(ctx context.Context, at gateway.IPFS, command string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.URL+"/api/v0/"+command, nil)
	if err != nil {
		return 0, nil, err
	}
	if at.TokenFile != "" {
		token, err := os.ReadFile(at.TokenFile)
		if err != nil {
			return 0, nil, err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	if failed := answer.Trailer.Get("X-Stream-Error"); failed != "" {
		return http.StatusInternalServerError, body, nil
	}
	return answer.StatusCode, body, err
}

// BlocksOf lists the blocks of a file that an IPFS node can have.
func BlocksOf(ctx context.Context, at gateway.IPFS, cid string) ([]string, error) {
	status, body, err := AskIPFS(ctx, at, "refs?recursive=true&unique=true&arg="+cid)
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("the blocks of %s: %d %s (%w)", cid, status, body, err)
	}
	blocks := []string{cid}
	for decoder := json.NewDecoder(bytes.NewReader(body)); decoder.More(); {
		var reference struct{ Ref string }
		if err := decoder.Decode(&reference); err != nil {
			return nil, err
		}
		blocks = append(blocks, reference.Ref)
	}
	return blocks, nil
}
