/* Prints the file it is given, from the directory it runs in: a program with data beside it. */
#include <stdio.h>

int main(int argc, char **argv) {
    FILE *page = fopen(argc > 1 ? argv[1] : "index.html", "r");
    if (!page) {
        perror("cannot read the page");
        return 1;
    }
    for (int c; (c = getc(page)) != EOF;) putchar(c);
    return fclose(page);
}
