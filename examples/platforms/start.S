/* The smallest program there is, for two machines: it says `ok` and ends. No library, no runtime. */
#if defined(__x86_64__)
    .globl _start
_start:
    mov $1, %eax
    mov $1, %edi
    lea message(%rip), %rsi
    mov $3, %edx
    syscall
    mov $60, %eax
    xor %edi, %edi
    syscall
#elif defined(__aarch64__)
    .globl _start
_start:
    mov x0, #1
    adr x1, message
    mov x2, #3
    mov x8, #64
    svc #0
    mov x0, #0
    mov x8, #93
    svc #0
#else
#error "only x86-64 and arm64 are written here"
#endif
message:
    .ascii "ok\n"
