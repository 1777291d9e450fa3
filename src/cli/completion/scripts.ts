// The shells' side of completion: each asks `kt __complete` with the words so far, which prints a value, a tab and a
// description a line; a line with nothing but a tab and `files` leaves it to the shell.

const bash = `# bash completion of kt.  Now: source <(kt completion bash)
# For good: kt completion bash > ~/.local/share/bash-completion/completions/kt
_kt() {
  local line current=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  [ "$current" = "=" ] && current=
  while IFS= read -r line; do
    if [ "$line" = $'\\tfiles' ]; then
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
    fi
    line=\${line%%$'\\t'*}
    # bash has cut --flag=value at the sign and replaces what is behind it.
    [ "\${COMP_WORDS[COMP_CWORD-1]}" = "=" ] || [ "\${COMP_WORDS[COMP_CWORD]}" = "=" ] && line=\${line#*=}
    [[ $line == */ ]] && compopt -o nospace 2>/dev/null
    COMPREPLY+=("$line")
  done < <("\${COMP_WORDS[0]/#\\~/$HOME}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _kt kt
`

const zsh = `#compdef kt
# zsh completion of kt.  Now: source <(kt completion zsh)
# For good: kt completion zsh > a file _kt in a folder of $fpath
_kt() {
  local line
  local -a values folders
  for line in "\${(@f)$("\${~\${(Q)words[1]}}" __complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -z $line ]] && continue
    if [[ $line == $'\\tfiles' ]]; then
      _files
      return
    fi
    if [[ $line == */$'\\t'* ]]; then
      folders+=("\${line%%$'\\t'*}")
    else
      values+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( $#folders )) && compadd -S '' -- $folders
  (( $#values )) && _describe kt values
}
if [ "\${funcstack[1]}" = _kt ]; then _kt "$@"; else compdef _kt kt; fi
`

const fish = `# fish completion of kt.  Now: kt completion fish | source
# For good: kt completion fish > ~/.config/fish/completions/kt.fish
function __kt_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  for line in ($words[1] __complete -- $words[2..-1] $current 2>/dev/null)
    if test "$line" = \\t"files"
      __fish_complete_path $current
    else
      printf '%s\\n' $line
    end
  end
end
complete -c kt -f -k -a '(__kt_complete)'
`

export const scripts = { bash, zsh, fish } as const
