# Removes one container once standard input ends, however its owner has ended.
#
# guard.sh CURL [ARGUMENT...]
#
#   CURL...  the command that names the container to its engine; it lacks only the method
#
# The owner writes `making` before it asks the engine for the container, and `made` when it has an
# answer. In between the engine may still be at work for an owner that is dead, so the guard waits
# for the container to appear. A container may be removed and made again by its owner.
set -u
exec 3<&0 </dev/null

making=''

# The status of the engine's answer, 000 if there was none.
remove() {
    "$@" --request DELETE --output /dev/null --write-out '%{http_code}' --max-time 30
}

finish() {
    trap '' HUP INT TERM
    polls=200 appearing=50
    while [ "$polls" -gt 0 ]; do
        case $(remove "$@") in
            204) break ;;
            404)
                [ -n "$making" ] && [ "$appearing" -gt 0 ] || break
                appearing=$((appearing - 1))
                ;;
        esac
        # Already being removed, or the engine is in trouble.
        sleep 0.2
        polls=$((polls - 1))
    done
    exit 0
}
trap 'finish "$@"' HUP INT TERM

while read -r word <&3; do
    case $word in
        making) making=yes ;;
        made) making='' ;;
    esac
done
finish "$@"
