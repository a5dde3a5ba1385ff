"""Small pieces of machine code, as bytes (the assembler is not needed to run the tests); the source is beside each.

`second` stores at its third instruction. `count` adds one to the memory at the second argument register and to the
third, in that order, for ever. Data is loaded and stored at the second argument register.
"""

CODE: dict[str, dict[str, bytes]] = {
    "aarch64": {
        # mov x8,#93; svc #0; nop
        "call": bytes.fromhex("a80b80d2010000d41f2003d5"),
        # ldr x2,[x1]
        "load": bytes.fromhex("220040f9"),
        # ldrb w2,[x1]
        "load1": bytes.fromhex("22004039"),
        # str x2,[x1]
        "store": bytes.fromhex("220000f9"),
        # br x1
        "jump": bytes.fromhex("20001fd6"),
        # udf #0
        "illegal": bytes.fromhex("00000000"),
        # brk #0
        "trap": bytes.fromhex("000020d4"),
        # 1: b 1b
        "spin": bytes.fromhex("00000014"),
        # 1: ldr x3,[x1]; add x3,x3,#1; str x3,[x1]; add x2,x2,#1; b 1b
        "count": bytes.fromhex("230040f963040091230000f942040091fcffff17"),
        # 1: ldaddal x4,x3,[x1]; add x2,x2,#1; b 1b
        "atomic": bytes.fromhex("2300e4f842040091feffff17"),
        # nop; nop; str x2,[x1]
        "second": bytes.fromhex("1f2003d51f2003d5220000f9"),
        # str w2,[x1]; ic ivau,x1; dsb sy; isb; br x1
        "selfmod": bytes.fromhex("220000b921750bd59f3f03d5df3f03d520001fd6"),
        # mov x0,#1; svc #0
        "one": bytes.fromhex("200080d2010000d4"),
        # mov x0,#2; svc #0
        "two": bytes.fromhex("400080d2010000d4"),
        # 1: ldaxr w3,[x1]; cbnz w3,1b; stxr w4,w2,[x1]; cbnz w4,1b; add x5,x5,#1; stlr wzr,[x1]; b 1b
        "lock": bytes.fromhex("23fc5f88e3ffff35227c0488a4ffff35a50400913ffc9f88faffff17"),
    },
    "arm": {
        # mov r7,#93; svc #0; nop
        "call": bytes.fromhex("5d70a0e3000000ef00f020e3"),
        # ldr r2,[r1]
        "load": bytes.fromhex("002091e5"),
        # ldrb r2,[r1]
        "load1": bytes.fromhex("0020d1e5"),
        # str r2,[r1]
        "store": bytes.fromhex("002081e5"),
        # bx r1
        "jump": bytes.fromhex("11ff2fe1"),
        # udf #0
        "illegal": bytes.fromhex("f000f0e7"),
        # bkpt #0
        "trap": bytes.fromhex("700020e1"),
        # 1: b 1b
        "spin": bytes.fromhex("feffffea"),
        # 1: ldr r3,[r1]; add r3,r3,#1; str r3,[r1]; add r2,r2,#1; b 1b
        "count": bytes.fromhex("003091e5013083e2003081e5012082e2faffffea"),
        # nop; nop; str r2,[r1]
        "second": bytes.fromhex("00f020e300f020e3002081e5"),
        # mov r0,#1; svc #0
        "one": bytes.fromhex("0100a0e3000000ef"),
        # mov r0,#2; svc #0
        "two": bytes.fromhex("0200a0e3000000ef"),
    },
    "riscv64": {
        # li a7,93; ecall; nop
        "call": bytes.fromhex("9308d005730000000100"),
        # ld a2,0(a1)
        "load": bytes.fromhex("9061"),
        # lbu a2,0(a1)
        "load1": bytes.fromhex("03c60500"),
        # sd a2,0(a1)
        "store": bytes.fromhex("90e1"),
        # jr a1
        "jump": bytes.fromhex("8285"),
        # unimp
        "illegal": bytes.fromhex("0000"),
        # ebreak
        "trap": bytes.fromhex("0290"),
        # 1: j 1b
        "spin": bytes.fromhex("01a0"),
        # 1: ld a3,0(a1); addi a3,a3,1; sd a3,0(a1); addi a2,a2,1; j 1b
        "count": bytes.fromhex("9461850694e10506e5bf"),
        # nop; nop; sd a2,0(a1)
        "second": bytes.fromhex("0100010090e1"),
        # li a0,1; ecall
        "one": bytes.fromhex("054573000000"),
        # li a0,2; ecall
        "two": bytes.fromhex("094573000000"),
    },
    "ppc64le": {
        # li 0,93; sc; nop
        "call": bytes.fromhex("5d0000380200004400000060"),
        # ld 5,0(4)
        "load": bytes.fromhex("0000a4e8"),
        # lbz 5,0(4)
        "load1": bytes.fromhex("0000a488"),
        # std 5,0(4)
        "store": bytes.fromhex("0000a4f8"),
        # mtctr 4; bctr
        "jump": bytes.fromhex("a603897c2004804e"),
        # .long 0
        "illegal": bytes.fromhex("00000000"),
        # trap
        "trap": bytes.fromhex("0800e07f"),
        # 1: b 1b
        "spin": bytes.fromhex("00000048"),
        # 1: ld 6,0(4); addi 6,6,1; std 6,0(4); addi 5,5,1; b 1b
        "count": bytes.fromhex("0000c4e80100c6380000c4f80100a538f0ffff4b"),
        # nop; nop; std 5,0(4)
        "second": bytes.fromhex("00000060000000600000a4f8"),
        # li 3,1; sc
        "one": bytes.fromhex("0100603802000044"),
        # li 3,2; sc
        "two": bytes.fromhex("0200603802000044"),
    },
    "mips": {
        # li $2,93; syscall; nop
        "call": bytes.fromhex("2402005d0000000c0000000000000000"),
        # lw $6,0($5)
        "load": bytes.fromhex("8ca60000000000000000000000000000"),
        # lbu $6,0($5)
        "load1": bytes.fromhex("90a60000000000000000000000000000"),
        # sw $6,0($5)
        "store": bytes.fromhex("aca60000000000000000000000000000"),
        # jr $5; nop
        "jump": bytes.fromhex("00a00008000000000000000000000000"),
        # .word 0xec000000
        "illegal": bytes.fromhex("ec000000000000000000000000000000"),
        # break
        "trap": bytes.fromhex("0000000d000000000000000000000000"),
        # 1: b 1b; nop
        "spin": bytes.fromhex("1000ffff000000000000000000000000"),
        # 1: lw $7,0($5); addiu $7,$7,1; sw $7,0($5); b 1b; addiu $6,$6,1
        "count": bytes.fromhex("8ca7000024e70001aca700001000fffc24c60001000000000000000000000000"),
        # nop; nop; sw $6,0($5)
        "second": bytes.fromhex("0000000000000000aca6000000000000"),
        # li $4,1; syscall
        "one": bytes.fromhex("240400010000000c0000000000000000"),
        # li $4,2; syscall
        "two": bytes.fromhex("240400020000000c0000000000000000"),
        # b 1f; lw $6,0($5); nop; 1: nop
        "slot": bytes.fromhex("100000028ca600000000000000000000"),
    },
    "x86_64": {
        # mov $93,%eax; syscall; nop
        "call": bytes.fromhex("b85d0000000f0590"),
        # mov (%rsi),%rdx
        "load": bytes.fromhex("488b16"),
        # movzbl (%rsi),%edx
        "load1": bytes.fromhex("0fb616"),
        # mov %rdx,(%rsi)
        "store": bytes.fromhex("488916"),
        # jmp *%rsi
        "jump": bytes.fromhex("ffe6"),
        # ud2
        "illegal": bytes.fromhex("0f0b"),
        # int3
        "trap": bytes.fromhex("cc"),
        # 1: jmp 1b
        "spin": bytes.fromhex("ebfe"),
        # 1: addq $1,(%rsi); add $1,%rdx; jmp 1b
        "count": bytes.fromhex("488306014883c201ebf6"),
        # nop; nop; mov %rdx,(%rsi)
        "second": bytes.fromhex("9090488916"),
        # mov $1,%edi; syscall
        "one": bytes.fromhex("bf010000000f05"),
        # mov $2,%edi; syscall
        "two": bytes.fromhex("bf020000000f05"),
    },
}
