# SPDX-License-Identifier: MIT
def drop(spool, name, data)
  File.open("#{spool}/tmp/#{name}", "wx", 0640) do |file|
    file.chmod(0640)
    file.write(data)
    file.fsync
    File.rename(file.path, "#{spool}/incoming/#{name}")
    file.fsync
  end
end

drop(ARGV[0], "from-ruby.job", "Handler: greet\nArg: Ann\n\n")
drop(ARGV[0], "from-ruby.txt", "a few words\n")
