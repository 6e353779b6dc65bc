// Runs a Jenkinsfile with stand-ins for Jenkins' steps: JENKINSFILE SHARD_CODES REPORT_CODE. Prints what it did, and the result.
// SHARD_CODES are the exit codes of the shards in turn; `lost` is an agent that dies.
def (file, shardCodes, reportCode) = [new File(args[0]), args[1].split(',') as List, args[2] as int]
def stashed = [] as Set
def here = [] as Set
def build = [result: 'SUCCESS']
def order = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'ABORTED']
def worsen = { result -> if (order.indexOf(result) > order.indexOf(build.result)) { build.result = result } }
def binding = new Binding([scm: 'scm', currentBuild: build])
def step = { name, code -> binding.setVariable(name, code) }
step('timestamps') { body -> body() }
step('stage') { name, body -> println "stage ${name}"; body() }
step('node') { label, body -> body() }
step('lock') { resource, body -> println "lock ${resource}"; body() }
step('timeout') { options, body -> body() }
step('checkout') { }
step('deleteDir') { -> here.clear() }
step('fileExists') { name -> here.contains(name as String) }
step('error') { message -> throw new Exception(message as String) }
step('unstable') { message -> worsen('UNSTABLE') }
step('catchError') { options, body -> try { body() } catch (Exception e) { println "caught ${e.message}"; worsen(options.buildResult) } }
step('parallel') { runs ->
  def failed = null
  runs.findAll { it.key != 'failFast' }.each { name, run -> println "run ${name}"; try { run() } catch (Exception e) { failed = e } }
  if (failed) { throw failed }
}
step('stash') { options -> if (here.contains(options.name as String) || options.name == 'vfiospec') { stashed << (options.name as String) } }
step('unstash') { name -> if (!stashed.contains(name as String)) { throw new Exception("no stash ${name}") }
  here << (name as String) }
step('junit') { options -> println "junit ${options.testResults}" }
step('archiveArtifacts') { options -> }
step('sh') { options ->
  def script = (options instanceof Map ? options.script : options) as String
  println "sh ${script}"
  if (script.contains(' report ')) { return reportCode }
  if (!script.contains('--partition')) { return 0 }
  def code = shardCodes.remove(0)
  if (code == 'lost') { throw new Exception('the agent is gone') }
  here << ((script =~ /--journal (\S+)/)[0][1] as String)
  return code as int
}
try {
  new GroovyShell(binding).evaluate(file)
} catch (Exception e) {
  println "error ${e.message}"
  worsen('FAILURE')
}
println "result ${build.result}"
