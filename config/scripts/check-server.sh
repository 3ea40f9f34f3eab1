#!/bin/sh
# The check of nginx.conf and haproxy.conf: starts the server again when it does not answer. If that does not help it stops
# the daemon, which gives up the address. Then mend the server, and `systemctl start vrrp-agent`.
# Change: the address below, if the server listens elsewhere. It needs curl.
server=$1

answers() {
    # Any answer will do, also an error page: the question is whether the server lives.
    curl --silent --output /dev/null --max-time 1 http://127.0.0.1/
}

# Without curl nothing is known; a restart every two seconds would be worse than a failed check.
command -v curl >/dev/null || exit 1
answers && exit 0

# Start does nothing for a server that runs but hangs, so restart.
systemctl restart "$server"
for _ in 1 2 3; do
    answers && exit 0
    sleep 1
done

# Leave this out to have the failed check alone move the address: then it also comes back by itself.
# The parent of a check is vrrp-agent, so this works without systemd too. (With keepalived write `systemctl stop keepalived`.)
# It ends as if an operator had told it to, and so systemd leaves it stopped.
kill -TERM "$PPID"
exit 1
