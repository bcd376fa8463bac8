/* Enters a root and asks its loader about each file that standard input names, one a line:
 *
 *     asker ROOT EMULATOR LOADER [WORD...]
 *
 * What the loader says goes to standard output, then a line `== STATUS`. EMULATOR may be empty; it is opened before the root
 * is entered, so it need not be in it. Linked statically: a root need hold nothing but the loader and what it is asked about.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count < 4)
        return 125;
    int emulator = *words[2] ? open(words[2], O_RDONLY | O_CLOEXEC) : -1;
    if ((*words[2] && emulator < 0) || chroot(words[1]) || chdir("/"))
        return 125;
    /* The emulator's name, then the loader and its words, then the file. */
    char **arguments = words + 2;
    char **own = calloc(count, sizeof *own);
    memcpy(own, arguments, (count - 2) * sizeof *own);
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        own[count - 2] = line;
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            dup2(1, 2);
            if (emulator < 0)
                execv(own[1], own + 1);
            else
                fexecve(emulator, own, environ);
            _exit(126);
        }
        int status = 0;
        waitpid(child, &status, 0);
        printf("== %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    return 0;
}
