# Owns one server: starts it, stops it, and leaves nothing behind once standard input ends.
#
# guard.sh LIFE FOLDER CONFIG STOP INITDB COMMAND [ARGUMENT...]
#
#   LIFE     `temporary`: the guard makes FOLDER and removes it at the end; `kept`: it leaves it
#   CONFIG   what to write to FOLDER/server.conf
#   STOP     how to end the server: SIGNAL:SECONDS words, tried in turn
#   INITDB   the initdb that makes FOLDER/data where that is missing, or nothing
#   COMMAND  the server; what it prints goes to FOLDER/server.log
#
# The owner writes a line: `start`, `stop` or `kill`. The guard answers with `started PID` and
# `exited STATUS`; any other line it prints says what went wrong. The end of standard input means
# that the owner is done or dead: the guard stops the server, cleans up and exits.
#
# The owner may have passed a locked file as standard error. The servers inherit it as descriptor
# 9, so that the lock lasts until the last process that works in FOLDER is gone. In the end the
# guard adds `ended` to the file: whoever holds the lock now is about to go.
set -u
umask 077

life=$1 folder=$2 config=$3 stop=$4 initdb=$5
shift 5
exec 3<&0 </dev/null 9>&2 2>&1

server=''
obeying=''
told=''

# Sends the signals of $1 in turn until the server is gone, each again and again: a process that
# has just been started does not hear it yet. Runs beside the `wait` that reaps the server.
end_server() {
    for step in $1; do
        polls=$((${step#*:} * 50))
        while [ "$polls" -gt 0 ]; do
            kill -s "${step%:*}" "$server" 2>/dev/null || return 0
            sleep 0.02
            polls=$((polls - 1))
        done
    done
}

# Waits for one word of the owner, and ends the server as it says.
obey() {
    read -r word <&3 || word=stop
    case $word in
        kill) end_server KILL:5 ;;
        *) end_server "$stop" ;;
    esac
}

# Ends `obey` before its pid of the server can mean anything else. By KILL, because a subshell that
# has just been forked still has our traps, and would forget any other signal.
dismiss() {
    kill -s KILL "$obeying" 2>/dev/null
    wait "$obeying" 2>/dev/null
    obeying=''
}

# Runs a command that the owner can end, and returns its status. $1: what to say when it starts.
run() {
    greeting=$1
    shift
    # Never `finish` between the start of a process and the note of its pid.
    trap 'told=yes' HUP INT TERM
    "$@" >>"$folder/server.log" 2>&1 3<&- &
    server=$!
    obey >/dev/null 2>&1 9>&- &
    obeying=$!
    trap finish HUP INT TERM
    [ -z "$told" ] || finish
    [ -z "$greeting" ] || echo "$greeting $server"
    wait "$server"
    status=$?
    server=''
    dismiss
    return "$status"
}

# A half-made cluster never gets the name `data`.
initialise() {
    [ -n "$initdb" ] && [ ! -e "$folder/data" ] || return 0
    rm -rf "$folder/data.new"
    run '' "$initdb" --pgdata="$folder/data.new" --username=postgres --auth=trust \
        --encoding=UTF8 --locale=C --data-checksums --no-instructions || return
    mv "$folder/data.new" "$folder/data"
}

finish() {
    trap '' HUP INT TERM
    if [ -n "$server" ]; then
        end_server "$stop" 9>&- &
        wait "$server"
        dismiss
    fi
    if [ "$life" = temporary ]; then
        # Once more while a killed server's children still write.
        polls=250
        until rm -rf "$folder" 2>/dev/null || [ "$polls" -eq 0 ]; do
            sleep 0.02
            polls=$((polls - 1))
        done
    fi
    echo ended >&9
    exit 0
}
trap finish HUP INT TERM
trap '' PIPE # a dead owner reads no answers

[ "$life" = kept ] || mkdir "$folder" || exit 1
: >"$folder/server.log" && printf '%s' "$config" >"$folder/server.conf" || finish

while read -r word <&3; do
    [ "$word" = start ] || continue
    initialise && run started "$@"
    echo "exited $?"
done
finish
