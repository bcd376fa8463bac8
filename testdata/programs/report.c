/* Says who it is and whether it can write to its root. */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
    (void)argc;
    FILE *file = fopen("/written", "w");
    printf("%s uid=%d gid=%d root=%s\n", argv[0], (int)getuid(), (int)getgid(), file ? "writable" : "read-only");
    return 7;
}
