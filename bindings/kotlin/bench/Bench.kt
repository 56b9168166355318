package shaodao

import java.io.File
import java.nio.file.Path
import kotlinx.coroutines.runBlocking

private const val ROUNDS = 301

/** `Bench.kt FOLDER`: makes a phone with 1,000 findings there and times two screens. */
object Bench {
    @JvmStatic
    fun main(args: Array<String>) = runBlocking {
        val folder = args[0]
        val key = newKey().also { File(folder, "key").writeBytes(it) }
        Server(Path.of(folder), rehearsalMs = null).use { server ->
            Opening("$folder/phone", "$folder/unbacked", key, "bench 1", null).open().use { phone ->
                val pending = phone.enrolTyped(server.address, server.ticket(XIAO))
                server.confirm(pending.checkCode)
                checkNotNull(phone.finishEnrolment())
                repeat(1_000) { nth ->
                    phone.report(Form("第 $nth 处漏气", category = "E0403", grid = "530102001006001"))
                }
                val first = phone.findings(FindingFilter()).rows.first().record
                val list = median { check(phone.findings(FindingFilter()).rows.size == 50) }
                val detail = median { check(phone.finding(first).row.record == first) }
                println("Kotlin  list of 50  %8.3f ms   detail %8.3f ms".format(list, detail))
                phone.shutdown()
            }
        }
    }

    private suspend fun median(once: suspend () -> Unit): Double {
        repeat(ROUNDS) { once() } // The virtual machine compiles what is hot.
        val taken = (1..ROUNDS).map {
            val begun = System.nanoTime()
            once()
            System.nanoTime() - begun
        }
        return taken.sorted()[ROUNDS / 2] / 1e6
    }
}
