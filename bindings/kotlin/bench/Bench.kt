package shaodao

import java.io.File
import java.nio.file.Path
import java.util.Locale
import kotlinx.coroutines.runBlocking

private const val ROUNDS = 301

/**
 * `Bench.kt FOLDER`: makes the phone of a secretary there, with 1,000 findings and 50
 * whistles, and prints the milliseconds of four screens.
 */
object Bench {
    @JvmStatic
    fun main(args: Array<String>) = runBlocking {
        val folder = args[0]
        val key = newKey().also { File(folder, "key").writeBytes(it) }
        Server(Path.of(folder), rehearsalMs = null).use { server ->
            Opening("$folder/phone", "$folder/unbacked", key, "bench 1", null).open().use { phone ->
                val pending = phone.enrolTyped(server.address, server.ticket(XU))
                server.confirm(pending.checkCode)
                checkNotNull(phone.finishEnrolment())
                fill(phone)
                val first = phone.findings(FindingFilter()).rows.first().record
                val times = listOf(
                    median(ROUNDS) { check(phone.findings(FindingFilter()).rows.size == 50) },
                    median(ROUNDS) { check(phone.finding(first).row.record == first) },
                    median(ROUNDS) { check(phone.whistles(WhistleFilter()).rows.size == 50) },
                    median(ROUNDS / 100) { check(phone.todo().isNotEmpty()) },
                )
                println("Kotlin " + times.joinToString(" ") { "%.3f".format(Locale.ROOT, it) })
                phone.shutdown()
            }
        }
    }

    private suspend fun fill(phone: Phone) = repeat(1_000) { nth ->
        val form = Form("第 $nth 处漏气", category = "E0403", grid = "530102001006001")
        val finding = phone.report(form).record
        if (nth % 20 == 0) {
            phone.actOnFinding(finding, FindingAct.Accept)
            val summons = listOf(Summons("person:$XIAO", true, true))
            phone.blow(Call(Form("处理漏气"), listOf(finding), summons))
        }
    }

    private suspend fun median(rounds: Int, once: suspend () -> Unit): Double {
        repeat(rounds) { once() } // The virtual machine compiles what is hot.
        val taken = (1..rounds).map {
            val begun = System.nanoTime()
            once()
            System.nanoTime() - begun
        }
        return taken.sorted()[rounds / 2] / 1e6
    }
}
