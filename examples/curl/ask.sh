#!/usr/bin/env bash
# Logs in, asks a question and follows the reply while it is written, also over lost connections:
#
#   ./ask.sh "Why is the sky blue?"
#
# BASE_URL is the server (http://localhost:3000), MOBILE the number that logs in. Needs bash and curl.
set -euo pipefail

base=${BASE_URL:-http://localhost:3000}
mobile=${MOBILE:-+9198$(date +%s | tail -c 9)}
question=${1:-Why is the sky blue?}
token=

# Sends JSON and prints the response; a refusal ends the script with its code.
post() {
  local answer
  answer=$(curl -sS --fail-with-body -X POST "$base$1" -H 'content-type: application/json' \
    ${token:+-H "authorization: Bearer $token"} ${3:+-H "idempotency-key: $3"} -d "$2") || {
    printf 'refused: %s\n' "$answer" >&2
    return 1
  }
  printf '%s' "$answer"
}

# The last value of a field of text in a line of JSON; nothing when there is none.
field() { sed -nE "s/.*\"$1\":\"(([^\"\\\\]|\\\\.)*)\".*/\1/p"; }

# Prints the text of an event. What JSON escapes, `%b` puts back, except quotes.
show() {
  local text
  text=$(field text <<< "$1")
  printf '%b' "${text//\\\"/\"}"
}

# A text as JSON.
quoted() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  printf '"%s"' "${text//$'\t'/\\t}"
}

challenge=$(post /auth/send-otp "{\"mobile\": \"$mobile\"}")
otp=$(field otp <<< "$challenge")
# Only a development server tells the code; others send it to the phone.
if [ -z "$otp" ]; then read -rp "Code sent to $mobile: " otp; fi
id=$(field challengeId <<< "$challenge")
token=$(post /auth/verify-otp "{\"mobile\": \"$mobile\", \"otp\": \"$otp\", \"challengeId\": \"$id\"}" | field token)

room=$(post /chatroom '{}' | field id)
# With the key the request could be repeated after a lost response without asking twice.
reply=$(post "/chatroom/$room/message" "{\"content\": $(quoted "$question")}" "ask-$$-$(date +%s)" | field id)

last=
ending=
for _ in 1 2 3 4 5 6 7 8 9 10; do
  # `id: attempt:offset` is the position to go on from after a lost connection.
  while IFS= read -r line; do
    case $line in
      'id: '*) position=${line#id: } ;;
      'event: '*) event=${line#event: } ;;
      'data: '*)
        case $event in
          delta) show "$line"; last=$position ;;
          replace) printf '\n(once more)\n'; show "$line"; last=$position ;;
          completed | failed | cancelled) ending=$event ;;
        esac
        ;;
    esac
  done < <(curl -sN "$base/chatroom/$room/message/$reply/stream" -H "authorization: Bearer $token" \
    ${last:+-H "last-event-id: $last"} || true)
  if [ -n "$ending" ]; then break; fi
  # The text was complete when the connection was lost: the stream is empty now.
  state=$(curl -sS "$base/chatroom/$room/message/$reply" -H "authorization: Bearer $token" | field status || true)
  case $state in completed | failed | cancelled) ending=$state ;; esac
  if [ -n "$ending" ]; then break; fi
  sleep 1
done
printf '\n%s\n' "${ending:-gave up}" >&2
[ "$ending" = completed ]
