/**
 * Background processes, done by a shell inside the sandbox with nothing but files: so they work on every provider that runs programs, live
 * on when the call, the step and the worker end, and can be looked at from outside. Per process one folder:
 *
 * - `command`: the script that runs
 * - `pid`: number, start time and pid namespace of the leader of its process group. All three, because numbers are used again, and after a
 *   restart of the sandbox the files are still there while the processes are not
 * - `output.<n>`: both streams, in segments; the newest and the one before it are kept
 * - `exit`: the exit code of the command
 * - `seen`: which call of check_process has seen how much
 *
 * All of it can be changed by commands of the model: what is read here is checked by the reader, and concerns nobody but this sandbox.
 */

/** Where the folders are. */
export const processesFolder = ".cortex/processes";

/** Bytes of one segment of output; a process keeps two. */
const segmentBytes = 1024 * 1024;

/** Processes that may run at once, and folders that are kept of ended ones (2 MB each at most). */
export const maxRunning = 20;
const maxKept = 30;

/** Between asking a process to end and ending it, tenths of a second. */
const termGraceTenths = 30;

/**
 * Leads a session and a process group of its own, so that the end of the call that started it does not concern it and a kill reaches all of
 * it. It outlives SIGTERM to write down how the command ended; `trap :` is reset for what it starts, `trap ''` would not be.
 */
const runner = `
dir=$1
trap : TERM INT HUP
stat=$(cat /proc/$$/stat); set -- \${stat##*) }
printf '%s %s %s\\n' "$$" "\${20}" "$(readlink /proc/self/ns/pid)" > "$dir/pid.new" && mv "$dir/pid.new" "$dir/pid" || exit 1
cut=head
# Otherwise head keeps what is less than 4 kB to itself.
command -v stdbuf > /dev/null && cut='stdbuf -o0 head'
{
  trap : TERM INT HUP
  bash "$dir/command"
  printf '%s' $? > "$dir/exit.new"; mv "$dir/exit.new" "$dir/exit"
} 2>&1 | {
  trap '' TERM INT HUP
  n=1
  while $cut -c ${segmentBytes} > "$dir/output.$n"; [ "$(wc -c < "$dir/output.$n")" -ge ${segmentBytes} ]; do
    rm -f "$dir/output.$((n - 1))"
    n=$((n + 1))
  done
  # The disk may be full: the process must not die of a closed pipe.
  cat > /dev/null
}
`;

/** As one word of the shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * One action on one process. In: `CORTEX_ACTION` (`start`, `check`, `kill`, `list`), `CORTEX_ID`, `CORTEX_CALL` (names the call),
 * `CORTEX_WAIT` (tenths of a second), `CORTEX_LIMIT` (bytes of output), and for `start` the command as stdin.
 *
 * Out, for `list`: lines of id, state, whether it lives, seconds since its start, and the beginning of its command, separated by tabs.
 * Otherwise `none`, `full`, or one line of state, whether it lives, first and last byte of the new output and the first that is shown; then
 * that output.
 */
export const processScript = `
action=$CORTEX_ACTION id=$CORTEX_ID call=$CORTEX_CALL wait=$CORTEX_WAIT limit=$CORTEX_LIMIT
unset CORTEX_ACTION CORTEX_ID CORTEX_CALL CORTEX_WAIT CORTEX_LIMIT
umask 022
root=/workspace/${processesFolder} dir=/workspace/${processesFolder}/$id

# Does anything of its process group live? The group's number is not given again while it has a member.
alive() {
  local pid since ns one stat
  { read -r pid since ns < "$1/pid"; } 2> /dev/null || return 1
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  [ "$ns" = "$(readlink /proc/self/ns/pid)" ] || return 1
  if { read -r stat < "/proc/$pid/stat"; } 2> /dev/null; then
    set -- \${stat##*) }
    # The number belongs to somebody else by now.
    [ "\${20}" = "$since" ] || return 1
  fi
  for one in /proc/[0-9]*/stat; do
    { read -r stat < "$one"; } 2> /dev/null || continue
    set -- \${stat##*) }
    [ "$3" = "$pid" ] && [ "$1" != Z ] && [ "$1" != X ] && group=$pid && return 0
  done
  return 1
}
ended() { state=$(head -c 10 "$1/exit" 2> /dev/null | tr -cd 0-9) && [ -n "$state" ]; }
state() {
  alive "$1" && lives=yes || lives=no
  if ended "$1"; then return; fi
  if [ $lives = yes ]; then state=running
  # It may have ended between the two looks.
  elif ! ended "$1"; then state=lost; fi
}
measure() {
  local file n
  last=0 first=0 total=0
  for file in "$dir"/output.*; do
    n=\${file##*.}
    case $n in '' | *[!0-9]*) continue ;; esac
    [ "$n" -gt "$last" ] && last=$n
    { [ "$first" = 0 ] || [ "$n" -lt "$first" ]; } && first=$n
  done
  [ "$last" = 0 ] || total=$(((last - 1) * ${segmentBytes} + $(wc -c < "$dir/output.$last")))
}
show() {
  local from=$1 to=$2 n base begin end
  for ((n = first; n > 0 && n <= last; n++)); do
    base=$(((n - 1) * ${segmentBytes}))
    begin=$((from > base ? from - base : 0)) end=$((to - base < ${segmentBytes} ? to - base : ${segmentBytes}))
    [ $end -gt $begin ] && tail -c +$((begin + 1)) "$dir/output.$n" 2> /dev/null | head -c $((end - begin))
  done
}
report() {
  local who='' from=0 to=0 shown waited=0
  { read -r who from to < "$dir/seen"; } 2> /dev/null
  case $from$to in '' | *[!0-9]*) from=0 to=0 ;; esac
  # A call that is repeated sees again what it saw.
  [ "$who" = "$call" ] || from=$to
  while state "$dir"; measure; [ "$state" = running ] && [ "$total" -le "$from" ] && [ $waited -lt "$wait" ]; do
    sleep 0.1; waited=$((waited + 1))
  done
  # More comes right behind the first output: perhaps the end.
  [ "$wait" -gt 0 ] && for waited in 1 2 3; do [ "$state" = running ] || break; sleep 0.1; state "$dir"; done
  # What it printed last is on its way into the file.
  [ "$state" = running ] || for waited in 1 2 3 4 5; do [ $lives = no ] && break; sleep 0.1; state "$dir"; done
  measure
  printf '%s %s %s\\n' "$call" "$from" "$total" > "$dir/seen.$$" && mv "$dir/seen.$$" "$dir/seen"
  shown=$from
  [ $((total - limit)) -gt "$shown" ] && shown=$((total - limit))
  [ "$first" -gt 0 ] && [ $(((first - 1) * ${segmentBytes})) -gt "$shown" ] && shown=$(((first - 1) * ${segmentBytes}))
  printf '%s %s %s %s %s\\n' "$state" "$lives" "$from" "$total" "$shown"
  show "$shown" "$total"
}
known() { find "$root" -mindepth 1 -maxdepth 1 -type d -name 'p-????????' -printf '%T@ %p\\n' 2> /dev/null | sort -rn | cut -d ' ' -f 2-; }

runner=${quoted(runner)}
case $action in
  list)
    known | while IFS= read -r one; do
      state "$one"
      printf '%s\\t%s\\t%s\\t%s\\t%s\\n' "\${one##*/}" "$state" "$lives" \\
        "$(($(date +%s) - $(stat -c %Y "$one/command" 2> /dev/null || date +%s)))" \\
        "$(head -c 300 "$one/command" 2> /dev/null | tr -s '\\000-\\037' ' ')"
    done
    ;;
  start)
    mkdir -p "$root" || exit 1
    if [ ! -d "$dir" ]; then
      running=0 kept=0
      while IFS= read -r one; do
        [ -n "$one" ] || continue
        if alive "$one"; then running=$((running + 1)); continue; fi
        kept=$((kept + 1))
        [ $kept -lt ${maxKept} ] || rm -rf "$one"
      done <<< "$(known)"
      [ $running -lt ${maxRunning} ] || { echo full; exit 0; }
      command -v setsid > /dev/null || { echo 'setsid is missing' >&2; exit 1; }
      # Whoever makes the folder starts the process: a call that is repeated starts no second one.
      if mkdir "$dir" 2> /dev/null; then
        cat > "$dir/command" || exit 1
        setsid bash -c "$runner" runner "$dir" < /dev/null > /dev/null 2>&1 &
      fi
      for waited in {1..100}; do [ -f "$dir/pid" ] && break; sleep 0.05; done
    fi
    report
    ;;
  check) if [ -d "$dir" ]; then report; else echo none; fi ;;
  kill)
    if [ ! -d "$dir" ]; then echo none; exit 0; fi
    if alive "$dir"; then
      kill -TERM -- "-$group"
      for ((waited = 0; waited < ${termGraceTenths}; waited++)); do alive "$dir" || break; sleep 0.1; done
      if alive "$dir"; then kill -KILL -- "-$group"; sleep 0.1; fi
      [ -f "$dir/exit" ] || printf 137 > "$dir/exit"
    fi
    report
    ;;
esac
exit 0
`;
