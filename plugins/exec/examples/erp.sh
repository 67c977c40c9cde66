#!/bin/sh
# Sends each lead to the ERP with curl. A line begins with {"id":"…", so no JSON parser is needed.
while IFS= read -r line; do
    id=${line#'{"id":"'}
    id=${id%%'"'*}
    status=$(printf %s "$line" | curl --silent --max-time 8 --output /dev/null --write-out '%{http_code}' \
        --header 'content-type: application/json' --header "idempotency-key: $id" --data-binary @- "$ERP_URL")
    case $?:$status in
        0:2*) outcome=delivered ;;
        0:429) outcome=throttled ;;
        0:401 | 0:403) outcome=reauth ;;
        0:4*) outcome=rejected ;;
        0:* | 6:* | 7:*) outcome=retry ;; # an error of the ERP, or no connection
        *) outcome=ambiguous ;;           # it may have got it
    esac
    printf '{"id":"%s","outcome":"%s","reason":"HTTP %s"}\n' "$id" "$outcome" "$status"
done
